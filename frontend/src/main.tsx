import { I18nProvider } from "@lingui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";

import { App } from "./app/App";
import { meQuery } from "./app/me";
import { queries } from "./app/room";
import { i18n, preferredLanguage, speak } from "./texts/i18n";

const PATIENCE_MS = 1_500; // an answer that takes longer is waited for with words

const place = document.getElementById("root");
if (!place) throw new Error("the page has no #root");

const patience = new Promise<void>((done) => setTimeout(done, PATIENCE_MS));
const known = Promise.race([queries.query(meQuery).catch(() => null), patience]);

void Promise.all([speak(preferredLanguage()), known]).then(() => {
  createRoot(place).render(
    <I18nProvider i18n={i18n}>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </I18nProvider>,
  );
});
