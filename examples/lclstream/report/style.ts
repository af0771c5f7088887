// The report's one stylesheet, inline: light and dark by the reader's setting, one column on a phone. Owns no state.

export const STYLE = `
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5a6675; --line: #dde2e9; --grid: #e9edf2; --slot: #f1f4f7;
  --accent: #0b66a8; --good: #17734a; --bad: #b3261e; --hot: #c2410c; --true: #0b66a8; --found: #d9480f;
  --area: rgba(11,102,168,.14); --outage: rgba(179,38,30,.10); --outage-line: #b3261e;
  --d0: #f1f4f7; --d1: #d6e6f3; --d2: #a9cbe6; --d3: #74abd6; --d4: #2f7db8; --d5: #0b568f; --on-dark: #ffffff;
  --t0: #7aa6c9; --t1: #e07b39; --t2: #8fb573; --t3: #b58bc4; --t4: #d0b348; --t5: #8d99a6; --bar-ink: #14202e; --track: rgba(27,35,48,.18); }
@media (prefers-color-scheme: dark) { :root {
  --page: #10151c; --card: #19202a; --ink: #e7ecf2; --soft: #9fabb9; --line: #2d3744; --grid: #26303c; --slot: #1f2833;
  --accent: #6cb6ee; --good: #5ecb98; --bad: #ff8a80; --hot: #ffa366; --true: #6cc4ff; --found: #ff9a52;
  --area: rgba(108,182,238,.16); --outage: rgba(255,138,128,.13); --outage-line: #ff8a80;
  --d0: #1f2833; --d1: #22405a; --d2: #25577f; --d3: #2b74a8; --d4: #4d9bd1; --d5: #8cc6ee; --on-dark: #0c1219;
  --t0: #6f9cc0; --t1: #e8894a; --t2: #86ad6b; --t3: #b08ac0; --t4: #cdb04a; --t5: #8794a3; --bar-ink: #0c1219; --track: rgba(231,236,242,.2); }
  svg.frame image { filter: invert(1); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 0 0 .3rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: 0 0 .8rem; max-width: 75ch; }
.lead { color: var(--soft); font-size: 1.05rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px; margin-top: 20px; min-width: 0; }
.columns { display: grid; gap: 24px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.pictures { display: grid; gap: 20px; grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); align-items: start; }
.pictures .stack { display: grid; gap: 20px; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 12px 8px 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child > th, tr:first-child > td { border-top: 0; }
th { font-weight: 500; color: var(--soft); }
thead th { font-size: .85rem; }
td.value { font-weight: 600; font-variant-numeric: tabular-nums; }
td.note { color: var(--soft); font-size: .92rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--accent); }
details table { font-size: .9rem; margin-top: 8px; }
.decisions { max-height: 230px; overflow: auto; } .decisions td { padding: 5px 10px 5px 0; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.scroll svg { display: block; width: 100%; min-width: 520px; height: auto; }
.wide .scroll svg { min-width: 900px; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .tick { fill: var(--soft); } svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg.frame { display: block; width: 100%; height: auto; max-height: 860px; border: 1px solid var(--line); border-radius: 6px; background: #d6c49e; }
svg.frame image { image-rendering: pixelated; }
.found-peak circle, .true-spot { fill: none; vector-effect: non-scaling-stroke; }
.found-peak circle { stroke: var(--found); stroke-width: 1.6; }
.true-spot { stroke: var(--true); stroke-width: 1.5; }
.grid { stroke: var(--grid); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.p50 { stroke: var(--accent); } .p99 { stroke: var(--hot); stroke-dasharray: 5 3; } .hit-rate { stroke: var(--accent); }
.hit-area { fill: var(--area); stroke: none; } .rate { fill: var(--accent); opacity: .8; }
.moment { stroke: var(--hot); stroke-width: 1; stroke-dasharray: 3 3; } .flag { fill: var(--hot); }
svg .flag-number { fill: var(--card); font-size: 10px; font-weight: 600; }
.outage { fill: var(--outage); stroke: var(--outage-line); stroke-width: 1; stroke-dasharray: 4 3; }
svg .outage-label { fill: var(--bad); font-weight: 600; }
.cell { stroke: var(--line); stroke-width: .5; }
.dwell-0 { fill: var(--d0); } .dwell-1 { fill: var(--d1); } .dwell-2 { fill: var(--d2); } .dwell-3 { fill: var(--d3); } .dwell-4 { fill: var(--d4); } .dwell-5 { fill: var(--d5); }
svg .cell-count { font-size: 11px; } svg .on-dark { fill: var(--on-dark); }
.hit-track { fill: var(--track); } .hit-share { fill: var(--found); }
.slot { fill: var(--slot); }
.bar { stroke: rgba(0,0,0,.25); stroke-width: .5; } .bar.failed { stroke: var(--bad); stroke-width: 2; } .bar.cancelled { opacity: .55; } .bar.hollow { fill: none; }
.tier-0 { fill: var(--t0); } .tier-1 { fill: var(--t1); } .tier-2 { fill: var(--t2); } .tier-3 { fill: var(--t3); } .tier-4 { fill: var(--t4); } .tier-5 { fill: var(--t5); }
svg .bar-label { fill: var(--bar-ink); font-size: 11px; } svg .node-label { font-weight: 600; }
.preempted:not(.bar) { stroke: #7a0f0a; stroke-width: 2.2; fill: none; stroke-linecap: round; } .resumed { fill: var(--bar-ink); }
.preempted.key { stroke: var(--bad); } .resumed.key { fill: var(--ink); }
.join { stroke: var(--soft); stroke-width: 1.4; stroke-dasharray: 2 3; fill: none; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 6px 20px; padding: 0; margin: 10px 0 0; color: var(--soft); font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: 8px; } .swatch { width: 22px; height: 15px; flex: none; }
footer { color: var(--soft); font-size: .85rem; margin-top: 24px; }
@media (max-width: 860px) { .columns, .pictures { grid-template-columns: minmax(0, 1fr); } main { padding: 20px 12px 32px; } section { padding: 14px; }
  h1 { font-size: 1.5rem; } td.note { display: none; } }
`;
