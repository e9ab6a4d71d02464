import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { PageFrame } from "#/pieces/PageFrame";
import { Answered } from "#/pieces/States";
import { api } from "#/services/api";
import { figures } from "#/services/figures";

import "./fleet.css";
import { Queues } from "./Queues";
import { Workers } from "./Workers";

const AGAIN_MS = 3_000;

/** The queues, what waits in them and how fast it moves; the workers, and what they have in hand. */
export default function FleetPage() {
  const { t } = useLingui();
  const queues = useQuery({
    queryKey: ["queues"],
    queryFn: ({ signal }) => api.queues(signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
  const workers = useQuery({
    queryKey: ["workers"],
    queryFn: ({ signal }) => figures.workers(signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
  return (
    <PageFrame title={t`Queues and workers`}>
      <div className="cards">
        <section className="card" aria-label={t`Queues`}>
          <div className="card-head">
            <h3>{t`Queues`}</h3>
            <span className="note">{t`Rates are of the last five minutes`}</span>
          </div>
          <Answered answer={queues}>{(found) => <Queues items={found.items} />}</Answered>
        </section>
        <section className="card" aria-label={t`Workers`}>
          <div className="card-head">
            <h3>{t`Workers`}</h3>
            <span className="note">{t`Those seen in the last day`}</span>
          </div>
          <Answered answer={workers}>{(found) => <Workers items={found.items} />}</Answered>
        </section>
      </div>
    </PageFrame>
  );
}
