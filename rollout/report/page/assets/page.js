"use strict";
/* Make the static pictures interactive where scripts run: hover, zoom on time, series on and off, keys.
   Everything shown here is also in the static picture or in a table. */
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const zone = (() => {
    try { new Intl.DateTimeFormat("en", { timeZone: report.zone }); return report.zone; } catch { return "UTC"; }
  })();
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const number = (value, digits) =>
    value == null ? "–" : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const fade = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");
  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  function sample(key) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 27 11");
    svg.setAttribute("aria-hidden", "true");
    const colour = `var(--${key.role})`;
    const draw = (tag, set) => {
      const mark = document.createElementNS(ns, tag);
      for (const [name, value] of Object.entries(set)) mark.setAttribute(name, value);
      svg.append(mark);
    };
    if (key.band) draw("rect", { x: 0, y: 0, width: 27, height: 11, fill: colour, "fill-opacity": Math.max(key.fill, .2) });
    if (key.line) draw("line", { x1: 0, y1: 5.5, x2: 27, y2: 5.5, stroke: colour, "stroke-width": Math.max(key.width, 1.5), "stroke-dasharray": key.dash.join(" ") });
    return svg;
  }

  /* The marked interval, as a bar above the curves; its words get shorter where there is little room. */
  function drawSpan(u, chart) {
    const [from, likely, to] = chart.span.map((at) => u.valToPos(at, "x", true));
    const { ctx, bbox } = u, y = u.valToPos(chart.top / 1.18 * 1.09, "y", true), ratio = devicePixelRatio;
    ctx.save();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = ctx.fillStyle = css("ours");
    ctx.lineWidth = 4 * ratio;
    ctx.beginPath();
    ctx.moveTo(from, y);
    ctx.lineTo(to, y);
    ctx.moveTo(likely, y - 7 * ratio);
    ctx.lineTo(likely, y + 7 * ratio);
    ctx.stroke();
    ctx.font = `bold ${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const room = from - 8 * ratio - bbox.left;
    const words = [chart.span_words, chart.span_words.replace(", 8 of 10 runs", ""), chart.span_words.replace(/^.*: /, "")].find((w) => ctx.measureText(w).width < room);
    if (words) ctx.fillText(words, from - 8 * ratio, y);
    ctx.restore();
  }

  function options(chart, width, shown, onCursor, onZoom) {
    const series = [{}], bands = [];
    chart.keys.forEach((key, k) => {
      const colour = css(key.role), edge = { show: shown[k], stroke: "transparent", width: 0, points: { show: false } };
      for (const index of key.band ?? []) series[index] = edge;
      if (key.band) bands.push({ series: [key.band[1], key.band[0]], fill: fade(colour, key.fill) });
      if (key.line) series[key.line] = {
        show: shown[k], points: { show: false }, stroke: colour, width: key.width,
        dash: key.dash.length ? key.dash : undefined, fill: !key.band && key.fill ? fade(colour, key.fill) : undefined,
        paths: key.step ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      };
    });
    const font = "12px " + getComputedStyle(document.body).fontFamily;
    const axis = { stroke: css("muted"), font, grid: { stroke: css("rule"), width: 1 }, ticks: { stroke: css("rule"), width: 1 } };
    const day = "{WWW}\n{D} {MMM}";
    return {
      width, height: Math.round(Math.min(400, Math.max(240, width * .48))),
      series, bands, legend: { show: false },
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), zone),
      scales: { y: { range: (u, low, high) => [0, chart.top ?? (high || 1) * 1.05] } },
      axes: [
        { ...axis, size: 46, space: 64, grid: { show: false }, values: [
          [604800, day, null, null, null, null, null, null, 1], [86400, day, null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1], [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        ] },
        { ...axis, size: 64, values: (u, ticks) => ticks.map((v) => number(v, v % 1 ? 1 : 0)) },
      ],
      cursor: { y: false, sync: { key: "rollout" }, points: { size: 7 }, drag: { x: true, y: false } },
      hooks: { draw: [(u) => chart.span && drawSpan(u, chart)], setCursor: [onCursor], setScale: [(u, name) => name === "x" && onZoom(u)] },
    };
  }

  function build(figure) {
    const chart = report.charts[figure.dataset.chart];
    const still = figure.querySelector(".still"), drawing = still.querySelector("svg");
    const shown = chart.keys.map(() => true);
    const plot = element("div", { class: "plot", tabindex: "0", role: "group",
      "aria-label": drawing.getAttribute("aria-label") + " Arrow keys move along time, plus and minus zoom, Escape shows all." });
    const readout = element("span", { class: "readout", "aria-live": "off" });
    const all = element("button", { class: "all", type: "button", hidden: "" }, "Show all");
    const outputs = chart.keys.map(() => element("span", { class: "value" }));
    const buttons = chart.keys.map((key, k) => {
      const button = element("button", { type: "button", "aria-pressed": "true" }, sample(key), key.name, outputs[k]);
      button.addEventListener("click", () => {
        shown[k] = !shown[k];
        button.setAttribute("aria-pressed", String(shown[k]));
        for (const index of [key.line, ...(key.band ?? [])]) if (index) u.setSeries(index, { show: shown[k] });
      });
      return button;
    });
    const live = element("div", { class: "live" },
      element("p", { class: "unit" }, element("span", {}, chart.unit), readout, all), plot,
      element("div", { class: "keys", role: "group", "aria-label": "Series" }, ...buttons));
    still.after(live);
    still.classList.add("off");

    const x = chart.data[0], first = x[0], last = x[x.length - 1];
    const onCursor = (self) => {
      const at = self.cursor.idx;
      readout.textContent = at == null ? "" : clock.format(new Date(x[at] * 1e3));
      chart.keys.forEach((key, k) => {
        const value = (index) => chart.data[index]?.[at ?? -1] ?? null;
        const middle = value(key.line), edges = (key.band ?? []).map(value);
        const range = edges.map((v) => number(v, chart.digits)).join(" to ");
        outputs[k].textContent = (middle ?? edges[0] ?? null) === null ? ""
          : !key.line ? range : number(middle, chart.digits) + (key.band ? ` (${range})` : "");
      });
    };
    const onZoom = (self) => {
      const { min, max } = self.scales.x;
      all.toggleAttribute("hidden", !(min > first || max < last));
    };
    let u;
    const width = () => Math.max(200, live.clientWidth);
    const make = () => {
      if (u) u.destroy();
      u = new uPlot(options(chart, width(), shown, onCursor, onZoom), chart.data, plot);
    };
    const showAll = () => u.setScale("x", { min: first, max: last });
    all.addEventListener("click", () => { showAll(); plot.focus(); });
    plot.addEventListener("keydown", (event) => {
      const { min, max } = u.scales.x, span = max - min;
      const here = u.cursor.idx ?? u.valToIdx((min + max) / 2);
      const zoom = (factor) => {
        const middle = x[here], half = span * factor / 2;
        u.setScale("x", { min: Math.max(first, middle - half), max: Math.min(last, middle + half) });
      };
      const stride = event.shiftKey ? 24 : 1;
      const moves = { ArrowLeft: -stride, ArrowRight: stride, Home: -x.length, End: x.length };
      if (event.key in moves) {
        const next = Math.min(x.length - 1, Math.max(0, here + moves[event.key]));
        readout.setAttribute("aria-live", "polite");
        u.setCursor({ left: u.valToPos(x[next], "x"), top: 0 });
      } else if (event.key === "+" || event.key === "=") zoom(.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "Escape") showAll();
      else return;
      event.preventDefault();
    });
    make();
    new ResizeObserver(() => { if (live.clientWidth && u.width !== width()) u.setSize({ width: width(), height: options(chart, width(), shown, onCursor, onZoom).height }); }).observe(live);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", make);
    return () => u;
  }

  window.rolloutCharts = {};
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    try {
      window.rolloutCharts[figure.dataset.chart] = build(figure);
    } catch (error) {
      // The static picture says the same: show it again rather than half a chart.
      figure.querySelector(".live")?.remove();
      figure.querySelector(".still").classList.remove("off");
      console.error(error);
    }
  }
})();
