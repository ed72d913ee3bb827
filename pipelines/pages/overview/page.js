"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.getElementById("heading").textContent = `${data.processes.length} painting processes`;
  document.getElementById("note").textContent = data.note;
  for (const process of data.processes) {
    const link = Object.assign(document.createElement("a"), { href: process.page });
    const name = Object.assign(document.createElement("span"), { textContent: process.name });
    const kept = Object.assign(document.createElement("small"), { textContent: process.kept });
    const sheet = Object.assign(document.createElement("img"), { src: process.sheet, alt: `Frames of ${process.name}`, loading: "lazy" });
    link.append(name, kept, sheet);
    const item = document.createElement("li");
    item.append(link);
    document.getElementById("processes").append(item);
  }
})();
