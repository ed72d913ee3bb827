
// The wall: what the data set is, the cards, and which of them are shown in which order.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const wall = byId("wall");
const cards = data.cards.map((each, number) => new Card(each, number));
const filters = {
  text: byId("text"),
  renderer: byId("renderer"),
  split: byId("split"),
  psnrFrom: byId("psnr-from"),
  violationTo: byId("violation-to"),
  sort: byId("sort"),
};
const mostViolation = Math.max(0, ...data.cards.map((each) => each.violation));

const ORDERS = {
  order: (one, other) => one.number - other.number,
  "psnr-down": (one, other) => other.data.psnr_db - one.data.psnr_db,
  "psnr-up": (one, other) => one.data.psnr_db - other.data.psnr_db,
  "ssim-down": (one, other) => other.data.ssim - one.data.ssim,
  "violation-down": (one, other) => other.data.violation - one.data.violation,
  "strokes-up": (one, other) => one.data.num_steps - other.data.num_steps,
  "caption-up": (one, other) => one.words.localeCompare(other.words, "en"),
};

/** `bezier 20, oil 12` */
function counted(counts) {
  return Object.entries(counts).map(([name, count]) => `${name} ${written(count)}`).join(", ") || "none";
}

function plural(count, one, many = `${one}s`) {
  return `${written(count)} ${count === 1 ? one : many}`;
}

/** The folder that holds `gallery/index.html` names the data set; the page itself does not know where it lies. */
function folderName() {
  const parts = location.pathname.split("/");
  try {
    return parts.at(-1) === "index.html" && parts.at(-2) === "gallery" ? decodeURIComponent(parts.at(-3) || "") : "";
  } catch {
    return "";
  }
}

function introduce() {
  const name = folderName();
  if (name) {
    byId("name").textContent = name;
    document.title = `${name}: painting processes`;
  }
  const first = data.cards[0];
  const lead = first
    ? `${plural(data.num_sequences, "painting")} in the making, each in ${first.num_frames} frames of ` +
      `${first.size[0]} × ${first.size[1]} pixels.`
    : "Nothing has been painted yet.";
  const part =
    data.cards.length < data.num_sequences
      ? ` ${written(data.cards.length)} of ${written(data.num_sequences)} shown, evenly spread.`
      : "";
  const beside = data.renderers.artist ? " What an artist left stands to the left of the frame made from it." : "";
  byId("lead").textContent = lead + part + beside;
  if (!data.complete) {
    byId("unfinished").hidden = false;
    byId("unfinished").textContent =
      `Not complete: ${written(data.num_sequences)} of ${plural(data.num_planned, "planned sequence")} in ` +
      `${written(data.num_shards)} of ${plural(data.num_shards_planned, "shard")}.`;
  }
  const facts = {
    Renderers: counted(data.renderers),
    Splits: counted(data.splits),
    Licences: counted(data.licences),
    Source: data.source_kind,
    Frames: `spaced by ${data.spacing}`,
    Size: `${written(data.num_bytes / 1e6, 1)} MB, ${plural(data.num_shards, "shard")}`,
    Version: `${data.code_version}, configuration ${data.config_hash.slice(0, 8)}`,
  };
  for (const [term, text] of Object.entries(facts)) {
    const row = document.createElement("div");
    row.append(document.createElement("dt"), document.createElement("dd"));
    row.firstChild.textContent = term;
    row.lastChild.textContent = text;
    if (term === "Version") row.lastChild.title = data.config_hash;
    byId("facts").append(row);
  }
  byId("made").textContent = `process-painter ${data.code_version} · configuration ${data.config_hash}`;
}

/** Histogram of the PSNR of the whole data set, its median marked. */
function drawPsnr() {
  const summary = data.psnr_db;
  if (!summary) return;
  const { edges, counts, low, median, high, medians } = summary;
  const svg = byId("psnr").querySelector("svg");
  const [width, height, left, top] = [320, 74, 1, 4];
  const highest = Math.max(...counts);
  const x = (value) => left + ((width - 2 * left) * (value - edges[0])) / (edges.at(-1) - edges[0]);
  counts.forEach((count, bin) => {
    const tall = ((height - top) * count) / highest;
    const bar = drawn("rect", {
      class: "bar", x: x(edges[bin]) + 0.75, y: height - tall, height: tall,
      width: Math.max(1, x(edges[bin + 1]) - x(edges[bin]) - 1.5),
    });
    const hint = drawn("title", {});
    hint.textContent = `${edges[bin]} to ${edges[bin + 1]} dB: ${plural(count, "sequence")}`;
    bar.append(hint);
    svg.append(bar);
  });
  svg.append(drawn("path", { class: "axis", d: `M0 ${height + 0.5}H${width}` }));
  svg.append(drawn("path", { class: "median", d: `M${x(median)} 0V${height}` }));
  for (const [value, anchor] of [[edges[0], "start"], [edges.at(-1), "end"]]) {
    const label = drawn("text", { x: x(value), y: height + 16, "text-anchor": anchor });
    label.textContent = `${value} dB`;
    svg.append(label);
  }
  const medianOf = Object.entries(medians).map(([name, value]) => `${name} ${written(value, 1)}`);
  const each = medianOf.length > 1 ? ` (${medianOf.join(", ")})` : "";
  byId("psnr-caption").textContent =
    `PSNR of the finished paintings: median ${written(median, 1)} dB${each}; ` +
    `eight in ten between ${written(low, 1)} and ${written(high, 1)} dB.`;
  byId("psnr").hidden = false;
}

function listRefused() {
  if (!data.num_quarantined) return;
  const section = byId("refused");
  section.querySelector("summary").textContent = `${plural(data.num_quarantined, "input was", "inputs were")} refused`;
  for (const { reason, count, sources } of data.refused) {
    const row = section.querySelector("tbody").insertRow();
    for (const text of [written(count), reason, sources.join("\n")]) row.insertCell().textContent = text;
  }
  section.hidden = false;
}

function offerChoices() {
  for (const [select, values] of [[filters.renderer, data.renderers], [filters.split, data.splits]]) {
    for (const value of Object.keys(values)) select.add(new Option(value, value));
    select.disabled = Object.keys(values).length < 2; // nothing to choose
  }
  const values = data.cards.map((each) => each.psnr_db).filter((each) => each !== null);
  filters.psnrFrom.disabled = values.length === 0;
  const [lowest, highest] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
  Object.assign(filters.psnrFrom, { min: Math.floor(lowest), max: Math.ceil(highest), step: 0.1 });
  filters.psnrFrom.defaultValue = filters.psnrFrom.min;
  filters.violationTo.defaultValue = 100;
  filters.violationTo.disabled = mostViolation === 0;
}

/** Hide what does not match, order the rest, and say how many there are. */
function arrange() {
  const words = filters.text.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const psnrFrom = Number(filters.psnrFrom.value);
  const violationTo = (mostViolation * filters.violationTo.value) / 100;
  let shown = 0;
  for (const card of cards) {
    const { renderer, split, psnr_db, violation } = card.data;
    const matches =
      (!filters.renderer.value || renderer === filters.renderer.value) &&
      (!filters.split.value || split === filters.split.value) &&
      (psnr_db === null || psnr_db >= psnrFrom) &&
      violation <= violationTo + 1e-9 &&
      words.every((word) => card.words.includes(word));
    card.element.hidden = !matches;
    if (matches) shown += 1;
    else player.stop(card);
  }
  wall.append(...cards.toSorted(ORDERS[filters.sort.value]).map((card) => card.element));
  const limits = { "psnr-from": `${written(psnrFrom, 1)} dB`, "violation-to": `${written(100 * violationTo, 2)} %` };
  for (const [id, text] of Object.entries(limits)) {
    byId(`${id}-value`).textContent = text;
    byId(id).setAttribute("aria-valuetext", text);
  }
  const all = plural(cards.length, "painting");
  byId("count").textContent = shown === cards.length ? all : `${written(shown)} of ${all}`;
  byId("nothing").hidden = shown > 0 || cards.length === 0;
  byId("play-all").disabled = shown === 0;
}

function listen() {
  const form = byId("filters");
  form.addEventListener("input", arrange);
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => {
    form.reset();
    arrange();
    filters.text.focus();
  });
  const narrow = matchMedia("(max-width: 48rem)");
  const fold = () => (byId("choices").open = !narrow.matches); // on a phone, pictures come before choices
  narrow.addEventListener("change", fold);
  fold();
  const all = byId("play-all");
  all.addEventListener("click", () => {
    if (player.all) player.stopAll();
    else player.playAll(cards.filter((card) => !card.element.hidden));
  });
  document.addEventListener("playing", () => {
    all.setAttribute("aria-pressed", String(player.all));
    all.querySelector(".word").textContent = player.all ? "Pause all" : "Play all";
  });
  const near = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const card = ofElement.get(target);
        if (isIntersecting) card.load();
        else card.unload();
      }
    },
    { rootMargin: "600px 0px" },
  );
  const ofElement = new Map(cards.map((card) => [card.element, card]));
  for (const card of cards) near.observe(card.element);
}

introduce();
drawPsnr();
listRefused();
offerChoices();
arrange();
listen();
