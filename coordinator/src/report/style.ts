/** The report's style sheet: system fonts, light and dark, print on A4, tables and figures that scroll when narrow. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f6f8fa; --ink: #1f2328; --muted: #57606a; --rule: #d0d7de;
  --accent: #2f6690; --prediction: #9a3412; --good: #116329; --bad: #a40e26; --alarm: #8a4600; --alarm-paper: #fff3d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1419; --panel: #171d24; --ink: #e6e9ec; --muted: #a3adb8; --rule: #3a434d;
    --accent: #7db4de; --prediction: #f0a07a; --good: #6fcf87; --bad: #ff8d96; --alarm: #ffc66d; --alarm-paper: #33270f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
}
body > * { max-width: 68rem; margin-inline: auto; padding-inline: 1.25rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 0; background: var(--paper); padding: .5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 2rem 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .25rem; }
h3 { font-size: 1.02rem; margin: 2rem 0 .25rem; }
p, ul, ol { margin: .5rem 0; max-width: 46rem; }
main > section { border-top: 1px solid var(--rule); margin-top: 2.5rem; padding-top: 1.75rem; }
a { color: var(--accent); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .85em; overflow-wrap: anywhere; }
th code, td code { color: var(--muted); font-weight: 400; }
pre { background: var(--panel); border: 1px solid var(--rule); padding: 1rem; overflow-x: auto; line-height: 1.4; }
.banner {
  max-width: none; background: var(--alarm-paper); color: var(--alarm); border-bottom: 3px solid var(--alarm);
  margin: 0; padding: .8rem max(1.25rem, calc((100vw - 65.5rem) / 2)); font-weight: 600;
}
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 1rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.lead { font-size: 1.08rem; }
.scroll { overflow-x: auto; margin: .75rem 0 .25rem; }
.scroll:focus-visible, figure:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; border-bottom: 1.5px solid var(--ink); font-size: .88rem; line-height: 1.4; min-width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
thead th { border-top: 1.5px solid var(--ink); border-bottom: 1px solid var(--ink); vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
th, td { padding: .38rem .6rem; text-align: left; vertical-align: top; }
tr:not(.second, .next) > :first-child { padding-left: 0; }
tr:not(.second) > :last-child { padding-right: 0; }
td.scale { white-space: nowrap; }
tbody th { font-weight: 500; min-width: 10rem; max-width: 18rem; overflow-wrap: break-word; }
tbody th code { overflow-wrap: normal; }
tbody tr.second > td { border-top: 0; padding-top: 0; color: var(--muted); }
td.text { min-width: 11rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th.number { white-space: normal; }
.notes { font-size: .82rem; color: var(--muted); max-width: none; }
summary { cursor: pointer; padding-block: .25rem; }
.status { font-weight: 600; }
.status.included, .status.answered, .status.done { color: var(--good); }
.status.excluded, .status.refused, .status.unreachable, .status.failed { color: var(--bad); }
.trouble { border-left: 4px solid var(--bad); background: var(--panel); padding: .6rem 1rem; margin: .75rem 0; }
.warnings { padding-left: 1.2rem; }
figure { margin: 1rem -.7rem; overflow-x: auto; }
svg.forest { display: block; max-width: 100%; height: auto; }
.forest .paper { fill: var(--paper); }
.forest .ink, .forest .diamond { fill: var(--ink); }
.forest .muted { fill: var(--muted); }
.forest .ink-line { stroke: var(--ink); }
.forest .rule { stroke: var(--muted); }
.forest .square, .forest .band { fill: var(--accent); }
.forest .curve { stroke: var(--accent); }
.forest .accent { fill: var(--prediction); }
.forest .accent-line { stroke: var(--prediction); }
footer { color: var(--muted); font-size: .85rem; margin-top: 2rem; padding-block: 1rem 2rem; }
@media (max-width: 62rem) {
  svg.forest { max-width: none; }
}
@media (max-width: 40rem) {
  table { border-collapse: separate; border-spacing: 0; }
  tbody th, thead th:first-child { position: sticky; left: 0; background: var(--paper); }
  caption { max-width: calc(100vw - 2.5rem); }
  tbody th { min-width: 7rem; }
  h1 { font-size: 1.5rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print {
  @page { size: A4; margin: 15mm 14mm; }
  :root {
    --paper: #fff; --panel: #fff; --ink: #000; --muted: #444; --rule: #bbb;
    --accent: #2f6690; --prediction: #9a3412; --good: #000; --bad: #000; --alarm: #000; --alarm-paper: #fff;
  }
  :root { font-size: 9.5pt; }
  body { font-size: 1rem; line-height: 1.4; }
  body > * { max-width: none; padding-inline: 0; }
  .banner { border: 2px solid #000; margin-bottom: 1rem; padding: .5rem; }
  .skip, nav, details { display: none; }
  h1 { font-size: 17pt; margin-top: 0; }
  h2 { font-size: 13pt; }
  h2, h3, caption { break-after: avoid; }
  .scroll, figure { overflow: visible; }
  figure { margin-inline: 0; }
  table { font-size: 7.6pt; }
  th, td { padding: 1.5pt 4pt; }
  tbody th { min-width: 0; }
  thead { display: table-header-group; }
  tr, .trouble, li { break-inside: avoid; }
  figure { break-inside: avoid; }
  svg.forest { max-width: 100%; width: auto; max-height: 255mm; }
}
`;
