"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const form = $("scores"), named = $("reviewer");
const items = [...form.querySelectorAll("article")].map((box) => ({ box, digest: box.dataset.article, inputs: [...box.querySelectorAll("input")] }));
const key = `distillery:review:${form.dataset.adapter}`;
let unsaved = false, storage = null;

const notice = (text) => { $("notice").textContent = text; $("notice").hidden = false; };
const given = (item) => item.inputs.filter((input) => input.value !== "" && input.validity.valid);
const scores = () => Object.fromEntries(items.filter((item) => given(item).length)
  .map((item) => [item.digest, Object.fromEntries(given(item).map((input) => [input.name, Number(input.value)]))]));
const show = () => {
  const done = items.filter((item) => {
    const all = given(item).length === item.inputs.length;
    item.box.toggleAttribute("data-done", all);
    return all;
  }).length;
  $("count").textContent = `${done} of ${items.length} scored`;
  $("bar").value = done;
};
const refused = (error) => {
  storage = null;
  notice(`This browser keeps no scores for this page (${error.name}). Save them before you leave it or load it again.`);
};
const keep = () => {
  if (!storage) return;
  try { storage.setItem(key, JSON.stringify({ reviewer: named.value, scores: scores() })); } catch (error) { refused(error); }
};
const bring = () => {
  let kept = {};
  try { kept = Object(JSON.parse(storage.getItem(key))); } catch { return; }
  if (typeof kept.reviewer === "string") named.value = kept.reviewer.slice(0, named.maxLength);
  for (const item of items) {
    const mine = Object(Object(kept.scores)[item.digest]);
    for (const input of item.inputs) if (typeof mine[input.name] === "number") input.value = mine[input.name];
  }
};
const save = () => {
  const wrong = items.flatMap((item) => item.inputs).find((input) => !input.validity.valid);
  if (wrong) { wrong.focus(); notice("A score is a number from 0 to 10."); return; }
  const { kind, filter, adapter } = form.dataset;
  const text = JSON.stringify({ kind, format: 1, filter, adapter, reviewer: named.value.trim(), scores: scores() }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `scores-${named.value.trim().replace(/[^\p{L}\p{N}]+/gu, "-") || "reviewer"}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  unsaved = false;
};

try {
  storage = window.localStorage;
  bring();
} catch (error) { refused(error); }
show();
form.addEventListener("input", () => { unsaved = true; keep(); show(); });
named.addEventListener("input", keep);
form.addEventListener("submit", (event) => event.preventDefault());
$("save").addEventListener("click", save);
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
})();
