/** The picture of a timeline: a lane for each party, drawn without scripts, in colours that hold for all eyes, light and dark. */
import { html, Html } from '@concordat/web/html.ts';

import type { Mark, MarkKind, Timeline } from './timeline.ts';

const WIDTH = 1400;
const LEFT = 150;
const RIGHT = 30;
const TOP = 92;
const LANE = 46;
const LOW_LANE = 22;
/** Marks of which each is drawn; more are drawn as bars, by how many there are. */
const MOST_MARKS = 2500;
const COLUMNS = 120;
/** Widths of a message's mark: as wide as there is room for. */
const [WIDEST, NARROWEST] = [9, 3];
/** Sites to which the way of each message is drawn. */
const MOST_ARROWED = 12;
const TICKS = 7;

export const MARK_NAMES: Readonly<Record<MarkKind, string>> = {
  plan: 'offer, acceptance, closing',
  levels: 'levels of factors',
  estimates: "a trial's own estimates",
  fit: 'fit over all sites',
  refusal: 'refusal',
  approval: 'approval',
  restart: 'restart',
  divergence: 'divergence of logs',
  erasure: 'erasure',
};

/** Okabe and Ito's colours, lighter and darker where the ground is. */
const STYLE = `
svg { --ground: #fff; --ink: #1a1a1a; --faint: #6b6b6b; --rule: #d4d4d4;
  --plan: #6b6b6b; --levels: #1f8ac9; --estimates: #00588a; --fit: #b36b00; --refusal: #b84300; --approval: #007a58;
  --restart: #1a1a1a; --divergence: #a3406f; --erasure: #1a1a1a; }
@media (prefers-color-scheme: dark) { svg { --ground: #16181b; --ink: #ececec; --faint: #a3a3a3; --rule: #3a3d42;
  --plan: #a8a8a8; --levels: #7cc8f2; --estimates: #5aa9ff; --fit: #f0b040; --refusal: #ff8a4a; --approval: #3fd0a3;
  --restart: #ececec; --divergence: #f09ac4; --erasure: #ececec; } }
text { font: 13px system-ui, sans-serif; fill: var(--ink); } .faint { fill: var(--faint); font-size: 12px; }
.ground { fill: var(--ground); } .rule { stroke: var(--rule); } .way { fill: none; opacity: 0.4; stroke-width: 0.8; }
${Object.keys(MARK_NAMES)
  .map((kind) => `.${kind} { fill: var(--${kind}); stroke: var(--${kind}); }`)
  .join(' ')}
.halo { fill: none; stroke: var(--ground); stroke-width: 6; } .hollow { fill: var(--ground); stroke-width: 1.8; } .line { fill: none; stroke-width: 2.2; }`;

/** One picture, with its name and what it shows for those who do not see it. */
export function timelineSvg(timeline: Timeline): Html {
  const { parties, marks } = timeline;
  const aggregated = marks.filter(({ way }) => way !== null).length > MOST_MARKS;
  const lane = parties.length > MOST_ARROWED ? LOW_LANE : LANE;
  const height = TOP + parties.length * lane + 40;
  const x = scaleOf(marks);
  const y = new Map(parties.map((party, i) => [party, TOP + i * lane + lane / 2]));
  const messages = marks.filter(({ way }) => way !== null);
  // What stands out is drawn one by one, and over what does not.
  const apart = marks.filter(({ way, kind }) => way === null || kind === 'refusal');
  const ordinary = messages.filter(({ kind }) => kind !== 'refusal');
  const wide = widthFor(ordinary);
  const arrowed = !aggregated && parties.length - 1 <= MOST_ARROWED;
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    viewBox="0 0 ${WIDTH} ${height}"
    role="img"
    aria-labelledby="timeline-title timeline-desc"
  >
    <title id="timeline-title">Who sent what when</title>
    <desc id="timeline-desc">
      ${parties.length} parties, ${messages.length} messages and ${marks.length - messages.length} other
      events, from left to right in time. Longer gaps are drawn shorter than they were: by the square root of
      their length.
    </desc>
    <style>
      ${new Html(STYLE)}
    </style>
    <rect class="ground" width="${WIDTH}" height="${height}" />
    ${legend(marks)} ${axis(marks, x, height)} ${parties.map((party) => laneOf(party, y.get(party)!))}
    ${arrowed ? messages.map((mark) => arrow(mark, x, y)) : null}
    ${aggregated ? bars(ordinary, x, y, lane) : ordinary.map((mark) => shape(mark, x, y, wide))}
    ${apart.map((mark) => shape(mark, x, y, WIDEST))}
  </svg>`;
}

type X = (time: number) => number;
type Y = ReadonlyMap<string, number>;

/** Gaps by the square root of their length, so that a wait for days leaves room for what took seconds. */
function scaleOf(marks: readonly Mark[]): X {
  const times = [
    ...new Set(marks.flatMap(({ time, otherTime }) => (otherTime === null ? [time] : [time, otherTime]))),
  ].toSorted((a, b) => a - b);
  const at = new Float64Array(times.length);
  for (let i = 1; i < times.length; i++) at[i] = at[i - 1]! + Math.sqrt(times[i]! - times[i - 1]!);
  const place = new Map(times.map((time, i) => [time, at[i]!]));
  const span = at.at(-1) ?? 0;
  const width = WIDTH - LEFT - RIGHT;
  return (time) => LEFT + (span === 0 ? width / 2 : (width * (place.get(time) ?? 0)) / span);
}

function laneOf(party: string, y: number): Html {
  return html`<line class="rule" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" />
    <text x="${LEFT - 12}" y="${y + 4}" text-anchor="end"
      >${party.length > 20 ? `${party.slice(0, 19)}…` : party}</text
    >`;
}

function legend(marks: readonly Mark[]): Html {
  const kinds = (Object.keys(MARK_NAMES) as MarkKind[]).filter((kind) =>
    marks.some((mark) => mark.kind === kind),
  );
  let at = LEFT;
  return html`<text x="${LEFT}" y="20">
      Who sent what when <tspan class="faint">▽ question to the site, △ answer from it</tspan>
    </text>
    ${kinds.map((kind) => {
      const x = at;
      at += 34 + 7 * MARK_NAMES[kind].length;
      return html`${symbol(kind, marks.find((mark) => mark.kind === kind)?.way ?? null, x + 6, 42, WIDEST)}<text
          class="faint"
          x="${x + 18}"
          y="46"
          >${MARK_NAMES[kind]}</text
        >`;
    })}`;
}

/** Times at marks that are well apart. */
function axis(marks: readonly Mark[], x: X, height: number): Html {
  const shown: { readonly at: number; readonly time: number }[] = [];
  const apart = (WIDTH - LEFT - RIGHT) / TICKS;
  for (const { time } of marks) {
    const last = shown.at(-1);
    if (last === undefined || x(time) - last.at >= apart) shown.push({ at: x(time), time });
  }
  return html`${shown.map(({ at, time }, i) => {
      const written = new Date(time).toISOString();
      const day = written.slice(0, 10);
      const before = shown[i - 1];
      const isNew = before === undefined || new Date(before.time).toISOString().slice(0, 10) !== day;
      return html`<line class="rule" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${height - 34}" />
        <text class="faint" x="${at}" y="${TOP - 14}"
          >${isNew ? `${day} ` : ''}${written.slice(11, 19)}</text
        >`;
    })}
    <text class="faint" x="${LEFT}" y="${height - 12}">
      Times in UTC. Longer gaps are drawn shorter, by the square root of their length.
    </text>`;
}

/** From the coordinator to the site, or back; slanted where both logs have it at another time. */
function arrow(mark: Mark, x: X, y: Y): Html | null {
  const [there, here] = [[...y.values()][0]!, y.get(mark.party)!];
  const other = x(mark.otherTime ?? mark.time);
  return html`<path class="way ${mark.kind}" d="M${round(other)} ${there}L${round(x(mark.time))} ${here}" />`;
}

/** Of marks on one lane. */
function widthFor(messages: readonly Mark[]): number {
  const lanes = Map.groupBy(messages, ({ party, way: direction }) => `${party} ${direction}`);
  const most = Math.max(1, ...[...lanes.values()].map(({ length }) => length));
  return Math.max(NARROWEST, Math.min(WIDEST, (0.8 * (WIDTH - LEFT - RIGHT)) / most));
}

function shape(mark: Mark, x: X, y: Y, wide: number): Html {
  const { party, time, kind, way: direction, what, analysis, round: n } = mark;
  const place = [analysis ?? '', n === null ? '' : `round ${n}`].filter((part) => part !== '').join(', ');
  return html`<g>
    <title>${party}, ${new Date(time).toISOString()}: ${what}${place === '' ? '' : ` (${place})`}</title>
    ${symbol(kind, direction, x(time), y.get(party)!, wide)}
  </g>`;
}

function symbol(kind: MarkKind, direction: Mark['way'], x: number, y: number, wide: number): Html {
  const [a, b, half] = [round(x), round(y), round(wide / 2)];
  if (kind === 'refusal') {
    const cross = `M${a - 4.5} ${b - 4.5}l9 9m0 -9l-9 9`;
    return html`<path class="halo" d="${cross}" /><path class="line refusal" d="${cross}" />`;
  }
  if (direction === 'question')
    return html`<path class="${kind}" d="M${a - half} ${b - 8}h${2 * half}l${-half} 7z" />`;
  if (direction === 'answer')
    return html`<path class="${kind}" d="M${a - half} ${b + 8}h${2 * half}l${-half} -7z" />`;
  if (kind === 'approval')
    return html`<circle class="hollow approval" cx="${a}" cy="${b}" r="5.5" /><path
        class="line approval"
        d="M${a - 2.5} ${b}l2 2.5l3.5 -5"
      />`;
  if (kind === 'divergence')
    return html`<path class="divergence" d="M${a} ${b - 10}l10 10l-10 10l-10 -10z" />`;
  if (kind === 'erasure')
    return html`<rect class="hollow erasure" x="${a - 5}" y="${b - 5}" width="10" height="10" />`;
  return html`<path class="halo" d="M${a} ${b - 10}v20" /><path
      class="line restart"
      d="M${a} ${b - 10}v20"
    />`;
}

/** Questions above the lane and answers below, in columns of time: higher where there are more, kinds one upon the other. */
function bars(messages: readonly Mark[], x: X, y: Y, lane: number): Html {
  const column = (WIDTH - LEFT - RIGHT) / COLUMNS;
  const placeOf = ({ time }: Mark): number => Math.min(COLUMNS - 1, Math.floor((x(time) - LEFT) / column));
  const stacks = Map.groupBy(messages, (mark) => `${mark.party} ${mark.way} ${placeOf(mark)}`);
  const most = Math.max(...[...stacks.values()].map(({ length }) => length));
  return html`${[...stacks.values()].map((marks) => {
    const [{ party, way: direction }, at] = [marks[0]!, placeOf(marks[0]!)];
    const tall = Math.max(2, (lane / 2 - 2) * Math.sqrt(marks.length / most));
    let done = 0;
    return [...Map.groupBy(marks, ({ kind }) => kind)].map(([kind, { length }]) => {
      const part = (tall * length) / marks.length;
      const top = direction === 'question' ? y.get(party)! - done - part : y.get(party)! + done;
      done += part;
      return html`<rect
        class="${kind}"
        stroke="none"
        x="${round(LEFT + at * column)}"
        y="${round(top)}"
        width="${round(column * 0.75)}"
        height="${round(part)}"
        ><title>${party}: ${length} × ${MARK_NAMES[kind]}, ${direction}</title></rect
      >`;
    });
  })}`;
}

const round = (value: number): number => Math.round(10 * value) / 10;
