// Opens report pages in headless Chromium, offline, and prints what it saw as one JSON document.
// node look.mjs MODULES CHROMIUM OUT NAME=PAGE…   (OUT gets screenshots and a PDF)
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, chromium, out, ...pages] = process.argv.slice(2);
const require = createRequire(modules + "/");
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function open(file, { width = 1280, height = 900, dark = false, scripts = true, touch = false } = {}) {
  const page = await browser.newPage();
  const seen = { errors: [], requests: [] };
  page.on("console", (m) => ["error", "warn"].includes(m.type()) && seen.errors.push(m.text()));
  page.on("pageerror", (e) => seen.errors.push(String(e)));
  page.on("request", (r) => seen.requests.push(r.url().split(":")[0]));
  await page.setJavaScriptEnabled(scripts);
  await page.setViewport({ width, height, hasTouch: touch, isMobile: touch });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.setOfflineMode(true);
  await page.goto(pathToFileURL(file), { waitUntil: "load" });
  return { page, seen };
}

async function axeRun(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " | " + n.failureSummary) }));
}

const sideways = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;

async function live(page) {
  const chart = await page.$('figure[data-chart="forecast"]');
  await chart.scrollIntoView();
  const over = await (await chart.$(".u-over")).boundingBox();
  await page.mouse.move(over.x + over.width * 0.45, over.y + over.height / 2);
  const hover = await chart.evaluate((f) => ({
    readout: f.querySelector(".readout").textContent,
    values: [...f.querySelectorAll(".keys .value")].map((v) => v.textContent),
  }));
  const pixels = () => chart.evaluate((f) => f.querySelector("canvas").toDataURL());
  const before = await pixels();
  await (await chart.$(".keys button:last-child")).click();
  const toggled = await chart.evaluate((f) => f.querySelector(".keys button:last-child").getAttribute("aria-pressed"));
  await new Promise((r) => setTimeout(r, 100));
  const changed = before !== (await pixels());
  await (await chart.$(".keys button:last-child")).click();
  const scale = () => page.evaluate(() => { const { min, max } = window.rolloutCharts.forecast().scales.x; return max - min; });
  const whole = await scale();
  await page.mouse.move(over.x + over.width * 0.3, over.y + 50);
  await page.mouse.down();
  await page.mouse.move(over.x + over.width * 0.6, over.y + 60, { steps: 5 });
  await page.mouse.up();
  await new Promise((r) => setTimeout(r, 100));
  const zoomed = await scale();
  await chart.$eval(".plot", (p) => p.focus());
  await page.keyboard.press("Escape");
  await new Promise((r) => setTimeout(r, 100));
  const back = await scale();
  const text = () => chart.$eval(".readout", (r) => r.textContent);
  await page.keyboard.press("Home");
  const home = await text();
  await page.keyboard.press("ArrowRight");
  const right = await text();
  await page.keyboard.press("+");
  await new Promise((r) => setTimeout(r, 100));
  return { hover, toggled, changed, whole, zoomed, back, home, right, plus: await scale() };
}

async function touched(page) {
  const chart = await page.$('figure[data-chart="forecast"]');
  await chart.scrollIntoView();
  const over = await (await chart.$(".u-over")).boundingBox();
  await page.touchscreen.tap(over.x + over.width * 0.45, over.y + over.height / 2);
  await new Promise((r) => setTimeout(r, 400));
  return chart.evaluate((f) => ({
    readout: f.querySelector(".readout").textContent,
    values: [...f.querySelectorAll(".keys .value")].map((v) => v.textContent),
  }));
}

const report = {};
for (const one of pages) {
  const [name, file] = one.split("=");
  const result = { views: {} };
  for (const [view, options] of Object.entries({
    light: {}, dark: { dark: true }, phone: { width: 360, height: 740, touch: true }, wide: { width: 1920, height: 1080 }, bare: { scripts: false },
  })) {
    const { page, seen } = await open(file, options);
    await page.screenshot({ path: `${out}/${name}-${view}.png`, fullPage: true });
    const state = { ...seen, sideways: await page.evaluate(sideways) };
    state.stills = await page.$$eval(".still", (all) => all.filter((s) => s.getBoundingClientRect().height > 50).length);
    state.canvases = await page.$$eval("canvas", (all) => all.length);
    state.text = await page.$eval("main", (m) => m.innerText.length);
    if (options.scripts !== false) state.axe = await axeRun(page);
    result.views[view] = state;
    if (view === "light") {
      result.tiles = await page.$$eval("[id^=tile-]", (all) => Object.fromEntries(all.map((t) => [t.id.slice(5), [Number(t.dataset.value), t.textContent.trim()]])));
      result.eta = await page.$eval("#eta", (e) => Number(e.dataset.value)).catch(() => null);
      result.hijacked = await page.evaluate(() => Boolean(window.hijacked));
      result.first_screen = await page.$eval(".answers", (a) => a.getBoundingClientRect().bottom);
      if (await page.$('figure[data-chart="forecast"]')) result.live = await live(page);
      result.pdf = (await page.pdf({ path: `${out}/${name}.pdf`, format: "A4" })).length;
    }
    if (view === "phone" && (await page.$('figure[data-chart="forecast"]'))) result.touched = await touched(page);
    await page.close();
  }
  report[name] = result;
}
await browser.close();
console.log(JSON.stringify(report));
