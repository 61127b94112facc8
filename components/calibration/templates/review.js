"use strict";
const sets = [...document.querySelectorAll("fieldset[data-article]")];
const marks = () => Object.fromEntries(sets
  .map((set) => [set.dataset.article, set.querySelector("input:checked")?.value])
  .filter(([, mark]) => mark));
const show = () => {
  document.getElementById("count").textContent = `${Object.keys(marks()).length} of ${sets.length} marked`;
};
document.getElementById("marks").addEventListener("change", show);
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(marks(), null, 1)], { type: "application/json" }));
  link.download = "marks.json";
  link.click();
});
show();
