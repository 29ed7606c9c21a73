
"use strict";
// Words that name a row narrow the rows; words that name only roles narrow the columns.
const box = document.getElementById("find");
const rows = [...document.querySelectorAll("tr[data-find]")];
const roles = [...document.querySelectorAll("thead th[data-find]")];
const has = (element, word) => element.dataset.find.includes(word);
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const forRoles = words.filter(word => !rows.some(row => has(row, word)) && roles.some(role => has(role, word)));
  const forRows = words.filter(word => !forRoles.includes(word));
  for (const row of rows) row.hidden = !forRows.every(word => has(row, word));
  const left = roles.map(role => !forRoles.length || forRoles.some(word => has(role, word)));
  roles.forEach((role, at) => { role.hidden = !left[at]; });
  for (const row of rows) [...row.cells].slice(1).forEach((cell, at) => { cell.hidden = !left[at]; });
  const open = new Set();
  for (const body of document.querySelectorAll("tbody:not(.resource)")) {
    body.hidden = ![...body.querySelectorAll("tr[data-find]")].some(row => !row.hidden);
    if (!body.hidden) open.add(body.dataset.section);
  }
  for (const body of document.querySelectorAll("tbody.resource")) body.hidden = !open.has(body.dataset.section);
});
