import { I18nProvider } from "@lingui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";

import { App } from "./app/App";
import { queries } from "./app/room";
import "./styles/index.css";
import { i18n, preferredLanguage, speak } from "./texts/i18n";

const place = document.getElementById("root");
if (!place) throw new Error("the page has no #root");
const root = createRoot(place);

void speak(preferredLanguage()).then(() => {
  root.render(
    <I18nProvider i18n={i18n}>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </I18nProvider>,
  );
});
