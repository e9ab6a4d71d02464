import { useLingui } from "@lingui/react/macro";
import { useSecond } from "#/live/clock";
import { useRoom } from "#/app/room";
import { formatRate } from "#/texts/format";

const WIDTH = 120;
const HEIGHT = 28;

/** How many tasks ended in each of the last two minutes' seconds, as seen by this page; failures below in their colour. */
export function Pulse() {
  const { t, i18n } = useLingui();
  const { feed } = useRoom();
  const points = feed.pulse(useSecond(), WIDTH);
  const most = Math.max(4, ...points.map((point) => point.completed + point.failed));
  const path = (value: (point: (typeof points)[number]) => number): string => {
    const tops = points.map((point, i) => `L${i} ${(HEIGHT - (value(point) / most) * (HEIGHT - 2)).toFixed(1)}`);
    return `M0 ${HEIGHT}${tops.join("")}L${WIDTH - 1} ${HEIGHT}Z`;
  };
  const last = points.slice(-10);
  const speed = last.reduce((sum, point) => sum + point.completed + point.failed, 0) / last.length;
  const text = formatRate(i18n.locale, speed);
  return (
    <div className="pulse" title={t`Tasks ended a second, over the last two minutes`}>
      <svg viewBox={`0 0 ${WIDTH - 1} ${HEIGHT}`} width={WIDTH} height={HEIGHT} preserveAspectRatio="none" aria-hidden="true">
        <path className="pulse-all" d={path((point) => point.completed + point.failed)} />
        <path className="pulse-failed" d={path((point) => point.failed)} />
      </svg>
      <span className="pulse-now">{t`${text}/s`}</span>
    </div>
  );
}
