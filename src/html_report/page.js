"use strict";
// Tables can be read without this: it sorts them by a click on a column, and filters long ones.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const text = (row, n) => row.cells[n].textContent;
  const number = (row, n) =>
    row.cells[n].classList.contains("number") ? Number(text(row, n).replaceAll(",", "")) : NaN;
  const order = (a, b, n) => {
    const difference = number(a, n) - number(b, n);
    return Number.isNaN(difference) ? text(a, n).localeCompare(text(b, n), undefined, { numeric: true }) : difference;
  };
  [...table.tHead.rows[0].cells].forEach((head, n) => {
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => (up ? order(a, b, n) : order(b, a, n)));
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  if (body.rows.length > 10) {
    const filter = document.createElement("input");
    filter.type = "search";
    filter.placeholder = "Show rows with …";
    filter.setAttribute("aria-label", "Show rows with this text");
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    table.parentElement.before(filter);
  }
}
