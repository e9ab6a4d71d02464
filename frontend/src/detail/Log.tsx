import { useLingui } from "@lingui/react/macro";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";

import { useExplain } from "#/app/commands";
import { Icon } from "#/pieces/Icon";
import type { LogLine } from "#/services/types";
import { formatLogTime, visible } from "#/texts/format";

import { useLogs } from "./useLogs";

const LINE = 20;
const LONGEST = 10_000;
const NEAR = 24;

/** The task's log, live. It follows the newest line until the reader scrolls up, and again when told to. */
export function Log({ taskId, running }: { taskId: string; running: boolean }) {
  const { t } = useLingui();
  const explain = useExplain();
  const { lines, loading, error } = useLogs(taskId);
  const scroller = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE,
    overscan: 12,
    getItemKey: (index) => lines[index]?.seq ?? index,
  });

  useEffect(() => {
    if (follow && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: "end" });
  }, [follow, lines.length, virtual]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR;
    if (atEnd !== follow && (!atEnd || !follow)) setFollow(atEnd);
  };
  if (error && lines.length === 0) return <p className="note" role="alert">{explain(error)}</p>;
  if (lines.length === 0) return <p className="note">{loading ? t`Loading…` : running ? t`Nothing logged yet` : t`Nothing was logged`}</p>;
  return (
    <div className="log-frame">
      <div className="log mono" ref={scroller} onScroll={onScroll} tabIndex={0} role="log" aria-label={t`Log`} aria-live="off">
        <div className="log-body" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index];
            return (
              line && (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className="log-line"
                  data-level={line.level.toUpperCase()}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <Line line={line} />
                </div>
              )
            );
          })}
        </div>
      </div>
      {!follow && (
        <button type="button" className="button log-follow" onClick={() => setFollow(true)}>
          <Icon name="down" />
          {t`Follow`}
        </button>
      )}
    </div>
  );
}

function Line({ line }: { line: LogLine }) {
  const long = line.message.length > LONGEST;
  return (
    <>
      <time dateTime={line.timestamp}>{formatLogTime(line.timestamp)}</time>
      <span className="log-level">{line.level.slice(0, 8).toUpperCase()}</span>
      <span className="log-text" title={line.logger}>{visible(long ? `${line.message.slice(0, LONGEST)}…` : line.message)}</span>
    </>
  );
}
