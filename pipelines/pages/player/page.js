"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [canvas, range, number, button] = ["canvas", "frame", "number", "play"].map((id) => document.getElementById(id));
  const pictures = data.frames.map((source) => Object.assign(new Image(), { src: source }));
  const last = pictures.length - 1;
  let timer = null;

  function show(frame) {
    canvas.src = pictures[frame].src;
    canvas.alt = `Frame ${data.firstFrame + frame}`;
    range.value = frame;
    number.textContent = `${data.firstFrame + frame} / ${data.firstFrame + last}`;
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    button.textContent = "Play";
  }
  function step() {
    const frame = Number(range.value);
    if (frame === last) {
      stop();
      return;
    }
    show(frame + 1);
    timer = setTimeout(step, 1000 / data.framesPerS);
  }
  function toggle() {
    if (timer !== null) {
      stop();
      return;
    }
    if (Number(range.value) === last) show(0);
    button.textContent = "Pause";
    timer = setTimeout(step, 1000 / data.framesPerS);
  }

  range.max = last;
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  button.addEventListener("click", toggle);
  canvas.addEventListener("load", () => canvas.style.setProperty("--aspect", canvas.naturalWidth / canvas.naturalHeight));
  document.addEventListener("keydown", (event) => {
    if (event.target === range || (event.target === button && !event.key.startsWith("Arrow"))) return;
    const frame = Number(range.value);
    if (event.key === " ") toggle();
    else if (event.key === "ArrowRight" && frame < last) { stop(); show(frame + 1); }
    else if (event.key === "ArrowLeft" && frame > 0) { stop(); show(frame - 1); }
    else return;
    event.preventDefault();
  });
  document.getElementById("caption").textContent = data.caption;
  document.getElementById("note").textContent = data.note;
  for (const [name, value] of data.facts) {
    const row = document.getElementById("facts").insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = value;
  }
  for (const { frame, src } of data.given) {
    const given = document.createElement("button");
    given.type = "button";
    given.append(Object.assign(new Image(), { src, alt: `The picture given for frame ${frame}` }), `given for frame ${frame}`);
    given.addEventListener("click", () => { stop(); show(frame - data.firstFrame); });
    document.getElementById("given").append(given);
  }
  if (location.hash === "#playing" && window.frameElement) {
    const main = document.querySelector("main");
    document.documentElement.style.setProperty("--screen", `${0.85 * parent.innerHeight}px`);
    new ResizeObserver(() => { frameElement.style.height = `${main.offsetHeight}px`; }).observe(main);
  }
  show(last);
  if (location.hash === "#playing" && !matchMedia("(prefers-reduced-motion: reduce)").matches) toggle();
})();
