import type { ChartPoint } from "#/services/figures";

type Column = (number | null)[];

/** Per minute, so that charts of different steps can be compared. */
export const perMinute = (count: number, step: number): number => (count * 60) / step;

export const times = (points: readonly ChartPoint[]): number[] => points.map((point) => Date.parse(point.at) / 1000);

/**
 * Throughput for stacked bars: uPlot draws each from zero, so the tallest comes first and holds those below it. Failures
 * stand at the foot, where they are seen and can be compared.
 */
export function stacked(points: readonly ChartPoint[], step: number): { all: Column; notDone: Column; failed: Column; created: Column } {
  const column = (count: (point: ChartPoint) => number): Column => points.map((point) => perMinute(count(point), step));
  return {
    all: column((point) => point.completed + point.cancelled + point.failed),
    notDone: column((point) => point.cancelled + point.failed),
    failed: column((point) => point.failed),
    created: column((point) => point.created),
  };
}

export const isEmpty = (point: ChartPoint): boolean =>
  point.created + point.started + point.completed + point.failed + point.cancelled === 0;
