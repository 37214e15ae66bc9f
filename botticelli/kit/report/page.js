"use strict";
// Adds filters, a search box and the Escape key; the page can be read without.
(() => {
  const form = document.querySelector(".filters");
  const count = form.querySelector("output");
  const nothing = document.querySelector(".nothing");
  const groups = [...document.querySelectorAll(".matrix tbody")].map((body) => ({
    body,
    area: body.dataset.a,
    rows: [...body.querySelectorAll("tr[data-l]")].map((row) => ({
      row,
      level: row.dataset.l,
      profile: row.dataset.p,
      text: `${row.cells[0].textContent} ${body.dataset.a}`.toLowerCase(),
      faults: new Set([...row.querySelectorAll("td.f")].map((cell) => cell.classList[1])),
    })),
  }));
  const total = groups.reduce((sum, group) => sum + group.rows.length, 0);

  function apply() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const fault = wanted.gravity === "any fault" ? "any" : wanted.gravity.slice(0, 1);
    let shown = 0;
    for (const { body, area, rows } of groups) {
      let here = 0;
      for (const one of rows) {
        const fits =
          (!wanted.area || wanted.area === area) &&
          (!wanted.level || wanted.level === one.level) &&
          (!wanted.profile || wanted.profile === one.profile) &&
          (!fault || (fault === "any" ? one.faults.size > 0 : one.faults.has(fault))) &&
          words.every((word) => one.text.includes(word));
        one.row.hidden = !fits;
        here += fits;
      }
      body.hidden = here === 0;
      shown += here;
    }
    count.textContent = `${shown} of ${total} cases`;
    nothing.hidden = shown > 0;
  }

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("change", apply); // some browsers fire only this one for a list
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();

  // What was opened is closed where it was opened from, and the page stays where it was.
  const grid = document.querySelector(".grid");
  let opener = null;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.closest(".matrix")) opener = link;
    if (link.matches(".close")) {
      event.preventDefault();
      close(link);
    }
  });
  document.addEventListener("keydown", (event) => {
    const open = document.querySelector("article:target, article:has(:target)");
    if (event.key === "Escape" && open) close(open.querySelector(".close"));
  });
  function close(link) {
    const place = [grid.scrollLeft, grid.scrollTop, scrollX, scrollY];
    location.hash = link.getAttribute("href");
    const back = opener ?? document.querySelector(link.getAttribute("href"));
    back.focus({ preventScroll: true });
    if (opener) {
      grid.scrollTo({ left: place[0], top: place[1], behavior: "instant" });
      scrollTo({ left: place[2], top: place[3], behavior: "instant" });
    }
  }
})();
