import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

import { queries, useRoom } from "#/app/room";
import { useAsked } from "#/app/place";
import { Choice } from "#/pieces/Choice";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Nothing, Partial } from "#/pieces/States";
import { pipelinesApi } from "#/services/pipelines";
import type { Pipelines } from "#/services/pipelines";

import { PipelineCard } from "./PipelineCard";
import "./pipelines.css";
import { isNamed, isTroubled } from "./rows";

const PIPELINES = ["pipelines"];
const AGAIN_MS = 10_000;
const PACE_MS = 1_000;

/** Ask again when a run is told of, once a second at most: a storm of runs is no storm of questions. */
function useFresh(): void {
  const { feed } = useRoom();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    const again = () => {
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        void queries.invalidateQueries({ queryKey: PIPELINES });
      }, PACE_MS);
    };
    const leave = feed.follow({ tasks: (tasks) => tasks.some((task) => task.kind === "pipeline") && again(), reset: again });
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
      leave();
    };
  }, [feed]);
}

/** The last word on each pipeline's result: how it ended, how fresh it is, how many rows went in and out. */
export default function PipelinesPage() {
  const { t } = useLingui();
  const [asked, ask] = useAsked();
  const typed = asked.get("name") ?? "";
  const which = asked.get("only") === "troubled" ? "troubled" : "all";
  useFresh();
  const answer = useQuery({
    queryKey: PIPELINES,
    queryFn: ({ signal }) => pipelinesApi.list(signal),
    refetchInterval: AGAIN_MS,
    staleTime: 1_000,
  });
  return (
    <PageFrame
      title={t`Pipelines`}
      lead={t`The last run of each result, against its usual rhythm`}
      tools={
        <>
          <span className="field">
            <input
              type="search"
              data-wide
              value={typed}
              placeholder={t`Name of pipeline or result`}
              aria-label={t`Name of pipeline or result`}
              onChange={(event) => ask({ name: event.target.value }, "replace")}
            />
          </span>
          <Choice
            label={t`Which pipelines`}
            value={which}
            choices={[["all", t`all`], ["troubled", t`only troubled`]] as const}
            onChoose={(next) => ask({ only: next === "all" ? "" : next })}
          />
        </>
      }
    >
      <Answered answer={answer}>{(found) => <Shown found={found} typed={typed} troubled={which === "troubled"} />}</Answered>
    </PageFrame>
  );
}

function Shown({ found, typed, troubled }: { found: Pipelines; typed: string; troubled: boolean }) {
  const { t } = useLingui();
  if (found.items.length === 0)
    return <Nothing title={t`No pipelines have reported yet`}>{t`Set pipelines.redis, or run orakul watch tdtp: runs appear here as they are reported.`}</Nothing>;
  const shown = found.items.filter((one) => isNamed(one, typed) && (!troubled || isTroubled(one)));
  return (
    <>
      {found.partial && <Partial words={t`Partial: there are more pipelines than are shown`} />}
      {shown.length === 0 ? (
        <Nothing title={troubled ? t`No troubled pipelines` : t`No pipelines of this name`} />
      ) : (
        <ul className="pipelines" aria-label={t`Pipelines`}>
          {shown.map((one) => <PipelineCard key={one.result_name} pipeline={one} />)}
        </ul>
      )}
    </>
  );
}
