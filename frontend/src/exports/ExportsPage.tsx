import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";

import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Nothing } from "#/pieces/States";
import { exportsApi } from "#/services/exports";

import { PlanCard } from "./PlanCard";
import { Runs } from "./Runs";

import "./exports.css";

/** Exports: what can be exported, what runs, and what came of it. */
export default function ExportsPage() {
  const { t } = useLingui();
  const plans = useQuery({ queryKey: ["exports", "plans"], queryFn: ({ signal }) => exportsApi.plans(signal), staleTime: 5_000 });
  return (
    <PageFrame title={t`Exports`} lead={t`Plans that bring data into files, and their runs`}>
      <div className="exports">
        <Answered answer={plans}>
          {({ items, may_start }) =>
            items.length > 0 ? (
              <div className="plans">{items.map((plan) => <PlanCard key={plan.plan} plan={plan} mayStart={may_start} />)}</div>
            ) : (
              <Nothing title={t`No plans to start here`}>{t`Plans are YAML files in the folders of the setting exports.plans.`}</Nothing>
            )
          }
        </Answered>
        <section className="card" aria-label={t`Runs`}>
          <h3>{t`Runs`}</h3>
          <Runs />
        </section>
      </div>
    </PageFrame>
  );
}
