import { useLingui } from "@lingui/react/macro";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";

import { useExplain } from "#/app/commands";
import { Icon } from "#/pieces/Icon";
import { usePrinting } from "#/pieces/usePrinting";
import type { LogLine } from "#/services/types";
import { formatLogTime, visible } from "#/texts/format";

import { filterLines, LEVELS, logText } from "./lines";
import { useLogs } from "./useLogs";

const LINE = 20;
const LONGEST = 10_000;
const NEAR = 24;
const PRINTED_MOST = 3_000; // lines that go on paper

/** The task's log, live. It follows the newest line until the reader scrolls up, and again when told to. */
export function Log({ taskId, name, running }: { taskId: string; name: string; running: boolean }) {
  const { t } = useLingui();
  const explain = useExplain();
  const { lines, loading, error } = useLogs(taskId);
  const [level, setLevel] = useState("");
  const [words, setWords] = useState("");
  const printing = usePrinting();
  const shown = useMemo(() => filterLines(lines, level, words), [lines, level, words]);
  if (error && lines.length === 0) return <p className="note" role="alert">{explain(error)}</p>;
  if (lines.length === 0) return <p className="note">{loading ? t`Loading…` : running ? t`Nothing logged yet` : t`Nothing was logged`}</p>;
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([logText(shown)], { type: "text/plain;charset=utf-8" }));
    link.download = `${(name || "task").replace(/[^\w.-]+/g, "_").slice(0, 80)}-${taskId.replace(/[^\w.-]+/g, "_").slice(0, 40)}.log`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <div className="log-frame">
      <div className="log-tools">
        <label className="field field-choice">
          <select aria-label={t`Level`} value={level} onChange={(event) => setLevel(event.target.value)}>
            <option value="">{t`All levels`}</option>
            {LEVELS.map((one) => (
              <option key={one} value={one}>{t`${one} and above`}</option>
            ))}
          </select>
          <Icon name="down" />
        </label>
        <label className="field log-search">
          <input
            type="search"
            value={words}
            placeholder={t`Search the log`}
            aria-label={t`Search the log`}
            spellCheck={false}
            onChange={(event) => setWords(event.target.value)}
          />
        </label>
        {shown.length < lines.length && <span className="note">{t`${shown.length} of ${lines.length}`}</span>}
        <button type="button" className="button-icon log-download" aria-label={t`Download the log`} title={t`Download the log`} onClick={download}>
          <Icon name="download" />
        </button>
      </div>
      {shown.length === 0 ? <p className="note log-none">{t`No line fits`}</p> : printing ? <Printed lines={shown} /> : <Lines lines={shown} words={words} />}
    </div>
  );
}

function Lines({ lines, words }: { lines: readonly LogLine[]; words: string }) {
  const { t } = useLingui();
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
  return (
    <>
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
                  <Line line={line} words={words} />
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
    </>
  );
}

/** The log on paper: all of it, or the latest of a very long one. */
function Printed({ lines }: { lines: readonly LogLine[] }) {
  const { t, i18n } = useLingui();
  const all = i18n.number(lines.length);
  const shown = i18n.number(PRINTED_MOST);
  return (
    <div className="log mono">
      {lines.length > PRINTED_MOST && <p className="note">{t`The last ${shown} of ${all} lines; the whole log can be downloaded.`}</p>}
      {lines.slice(-PRINTED_MOST).map((line) => (
        <div key={line.seq} className="log-line" data-level={line.level.toUpperCase()}>
          <Line line={line} words="" />
        </div>
      ))}
    </div>
  );
}

function Line({ line, words }: { line: LogLine; words: string }) {
  const long = line.message.length > LONGEST;
  return (
    <>
      <time dateTime={line.timestamp}>{formatLogTime(line.timestamp)}</time>
      <span className="log-level">{line.level.slice(0, 8).toUpperCase()}</span>
      <span className="log-text" title={line.logger}>
        <Marked text={visible(long ? `${line.message.slice(0, LONGEST)}…` : line.message)} words={words} />
      </span>
    </>
  );
}

/** A text in which what was searched for is marked. */
function Marked({ text, words }: { text: string; words: string }) {
  const wanted = words.trim().toLowerCase();
  const low = text.toLowerCase();
  if (wanted === "" || low.length !== text.length) return text;
  const parts = low.split(wanted);
  if (parts.length === 1) return text;
  let at = 0;
  return parts.map((part, number) => {
    const plain = text.slice(at, at + part.length);
    const found = text.slice(at + part.length, at + part.length + wanted.length);
    at += part.length + wanted.length;
    return <span key={number}>{plain}{number < parts.length - 1 && <mark>{found}</mark>}</span>;
  });
}
