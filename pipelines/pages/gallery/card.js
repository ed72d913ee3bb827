"use strict";

// One painting of the wall: its picture, its transport, its label. Frames stand side by side in one WebP, the sheet,
// which is decoded only while the card is near the window.

const SVG = "http://www.w3.org/2000/svg";
const CURVE = { width: 240, height: 40, margin: 4 };
const FADE = 0.4; // share of a frame's time, while playing, in which it dissolves into the next
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** A number as people write it, with at most so many digits after the point. */
function written(value, digits = 0) {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** An SVG element with attributes. */
function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

class Card {
  constructor(data, number) {
    this.data = data;
    this.number = number;
    this.last = data.frames.length - 1;
    this.frame = this.resting = this.last; // where it returns to when the pointer has passed over
    this.sheet = null; // the decoded image, or null while the card is far away
    this.started = null; // when it began to play, or null
    this.words = data.caption.toLocaleLowerCase();
    this.build();
    this.listen();
    this.show(this.last);
  }

  build() {
    const { data } = this;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    const part = (selector) => this.element.querySelector(selector);
    const caption = part(".caption");
    caption.textContent = data.caption || "Untitled";
    caption.classList.toggle("untitled", !data.caption);
    caption.id = `caption-${this.number}`;
    this.element.setAttribute("aria-labelledby", caption.id);
    this.canvas = part("canvas");
    this.canvas.width = data.sheet.width;
    this.canvas.height = data.sheet.height;
    this.canvas.setAttribute("aria-label", data.caption || "Untitled painting");
    this.button = part(".play");
    this.slider = part(".scrub");
    this.slider.max = this.last;
    this.where = part(".where");
    const measures = data.psnr_db === null ? [] : [`${written(data.psnr_db, 1)} dB PSNR`, `${written(data.ssim, 3)} SSIM`];
    if (data.violation > 0) measures.push(`${written(100 * data.violation, 2)} % progress violation`);
    part(".measures").textContent = measures.join(" · ");
    part(".source").textContent =
      `${data.renderer}, ${written(data.num_steps)} ${data.step_word}s · ${data.split} · ${data.source}` +
      (data.licence ? ` · ${data.licence}` : "");
    part(".source").title = `sequence ${data.key} in ${data.shard}`;
    this.buildCurve(part(".curve"));
    if (data.regions) this.buildRegions(part(".regions"));
  }

  /** The map of the regions and, in painting order, how salient and how large each one is. */
  buildRegions(details) {
    const { map, rows } = this.data.regions;
    const all = rows.reduce((sum, [, , area]) => sum + area, 0);
    details.hidden = false;
    details.querySelector("summary").textContent = `${written(rows.length)} regions in painting order`;
    const picture = new Image();
    picture.alt = "Map of the regions, numbered in painting order, from warm to cold colours";
    picture.src = `data:image/webp;base64,${map}`;
    details.querySelector("summary").after(picture);
    for (const [label, saliency, area] of rows) {
      const item = document.createElement("li");
      item.textContent = `label ${label} · saliency ${written(saliency, 2)} · ${written((100 * area) / all, 1)} %`;
      details.querySelector("ol").append(item);
    }
  }

  /** Distance to the finished canvas over strokes (of an artist, over source frames): a line, the ground under it, and a mark for the frame shown. */
  buildCurve(svg) {
    const { frames, num_steps } = this.data;
    const { width, height, margin } = CURVE;
    this.points = frames.map(([, step, distance]) => [
      margin + (width - 2 * margin) * (num_steps ? step / num_steps : 1),
      margin + (height - 2 * margin) * (1 - Math.max(0, Math.min(1, distance))),
    ]);
    const path = this.points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    const [floor, start, end] = [height - margin, this.points[0], this.points[this.last]];
    this.marker = drawn("circle", { r: 3.5, class: "marker" });
    svg.append(
      drawn("path", { class: "ground", d: `M${start[0]} ${floor}L${path}L${end[0]} ${floor}Z` }),
      drawn("path", { class: "line", d: `M${path}` }),
      this.marker,
    );
    const title = drawn("title", {});
    title.textContent = `Distance to the finished canvas over ${written(num_steps)} ${this.data.step_word}s`;
    svg.prepend(title);
  }

  listen() {
    const { canvas, slider, button, element } = this;
    button.addEventListener("click", () => player.toggle(this));
    slider.addEventListener("input", () => this.scrub(Number(slider.value)));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.scrub(this.frameAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.scrub(this.frameAt(event));
      else if (event.pointerType === "mouse" && this.started === null) this.show(this.frameAt(event));
    });
    canvas.addEventListener("pointerleave", () => {
      if (this.started === null) this.show(this.resting);
    });
    element.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && event.target !== this.button) player.toggle(this);
    else if (event.target === this.slider) return; // a slider knows its own keys
    else if (event.key === "ArrowLeft") this.scrub(this.frame - 1);
    else if (event.key === "ArrowRight") this.scrub(this.frame + 1);
    else if (event.key === "Home") this.scrub(0);
    else if (event.key === "End") this.scrub(this.last);
    else return;
    event.preventDefault();
  }

  frameAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.max(0, Math.min(this.last, Math.floor(share * (this.last + 1))));
  }

  /** Go to a frame and stay there. */
  scrub(frame) {
    player.stop(this);
    this.resting = Math.max(0, Math.min(this.last, frame));
    this.show(this.resting);
  }

  /** Show a frame, or with a fraction, one dissolving into the next. */
  show(position) {
    this.position = position;
    const frame = Math.round(position);
    if (frame !== this.frame || !this.where.textContent) {
      this.frame = frame;
      this.tell();
    }
    this.draw();
  }

  tell() {
    const [number, step, distance, doing] = this.data.frames[this.frame];
    const [x, y] = this.points[this.frame];
    this.marker.setAttribute("cx", x);
    this.marker.setAttribute("cy", y);
    this.slider.value = this.frame;
    this.where.textContent = `${number}/${this.data.num_frames - 1} · ${doing || `${this.data.step_word} ${written(step)}`}`;
    this.where.title =
      `frame ${number} of 0 to ${this.data.num_frames - 1}, ${this.data.step_word} ${step} of ${this.data.num_steps}` +
      (doing && `: ${doing}`);
    this.slider.setAttribute("aria-valuetext", `${this.where.title}, distance to the finished ${written(distance, 2)}`);
  }

  draw() {
    if (!this.sheet) return;
    const { width, height, pitch, inset, columns } = this.data.sheet;
    const context = this.canvas.getContext("2d");
    const first = Math.floor(this.position);
    const paint = (frame, alpha) => {
      const x = (frame % columns) * pitch[0] + inset[0];
      const y = Math.floor(frame / columns) * pitch[1] + inset[1];
      context.globalAlpha = alpha;
      context.drawImage(this.sheet, x, y, width, height, 0, 0, width, height);
    };
    paint(first, 1);
    const fading = (this.position - first - (1 - FADE)) / FADE;
    if (fading > 0) paint(first + 1, fading);
  }

  /** Decode the frames, now that the card is near the window. */
  async load() {
    if (this.sheet || this.loading) return;
    const image = (this.loading = new Image());
    image.src = `data:image/webp;base64,${this.data.sheet.webp}`;
    try {
      await image.decode();
    } catch {
      this.element.classList.add("undecoded");
      return;
    }
    if (this.loading !== image) return; // gone again meanwhile
    this.sheet = image;
    this.element.classList.add("hung");
    this.draw();
  }

  /** Let go of the decoded frames; the canvas keeps what it shows. */
  unload() {
    this.sheet = this.loading = null;
  }

  /** Reflect whether it plays. */
  mark() {
    const playing = this.started !== null;
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.element.classList.toggle("playing", playing);
  }
}

/** Moves whatever plays. A single painting plays once; when all play, they begin again until they are stopped. */
const player = {
  cards: new Set(),
  all: false,
  ticking: false,

  toggle(card) {
    if (card.started === null) this.play(card, card.frame >= card.last ? 0 : card.frame);
    else this.stop(card);
  },

  play(card, from) {
    card.started = performance.now() - from * this.frameMs(card);
    card.mark();
    card.show(from);
    this.cards.add(card);
    if (this.ticking) return;
    this.ticking = true;
    requestAnimationFrame((now) => this.tick(now));
  },

  stop(card) {
    if (card.started === null) return;
    card.started = null;
    card.mark();
    card.resting = card.frame;
    card.show(card.resting); // never rests between two frames
    this.cards.delete(card);
    this.report();
  },

  /** Some four seconds a painting, whatever its number of frames; half as fast for those who want little motion. */
  frameMs(card) {
    const pace = Math.max(90, Math.min(480, 4000 / card.last));
    return stillness.matches ? 2 * pace : pace;
  },

  tick(now) {
    for (const card of this.cards) {
      const passed = Math.max(0, (now - card.started) / this.frameMs(card));
      const over = passed - card.last;
      if (over >= 0 && !(this.all && !stillness.matches)) {
        card.show(card.last);
        this.stop(card);
      } else if (over * this.frameMs(card) > 1600) this.play(card, 0); // the finished painting is given a moment
      else card.show(stillness.matches ? Math.floor(passed) : Math.min(card.last, passed));
    }
    this.ticking = this.cards.size > 0;
    if (this.ticking) requestAnimationFrame((later) => this.tick(later));
  },

  playAll(cards) {
    this.all = true;
    for (const card of cards) this.play(card, 0);
    this.report();
  },

  stopAll() {
    for (const card of [...this.cards]) this.stop(card);
    this.report();
  },

  /** Tell the button of the whole wall; `wall.js` listens. */
  report() {
    this.all = this.all && this.cards.size > 0;
    document.dispatchEvent(new Event("playing"));
  },
};
