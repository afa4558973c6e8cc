"use strict";
// Headings of tables become buttons that sort; folds marked for paper open before printing.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const isNumber = head.classList.contains("number");
      const key = (row) => {
        const text = row.cells[column].textContent;
        return isNumber ? (text === "" ? -1 : Number(text.replaceAll(",", ""))) : text;
      };
      const order = isNumber ? (a, b) => a - b : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort((a, b) => (up ? order(a[0], b[0]) : order(b[0], a[0])));
      body.append(...rows.map((row) => row[1]));
    });
  });
}
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details.paper")) fold.open = true;
});
