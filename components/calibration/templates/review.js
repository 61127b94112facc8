"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const form = $("marks"), named = $("reviewer");
const SAMPLES = ["calibration", "fresh"].filter((kind) => form.dataset[kind]);
const LEAST = JSON.parse(form.dataset.least), WORDS = JSON.parse(form.dataset.words);
const items = [...form.querySelectorAll("article")].map((box, at) => ({
  box, at, digest: box.dataset.article, id: box.dataset.id, sample: box.dataset.sample,
  radios: [...box.querySelectorAll("input")], note: box.querySelector("textarea"),
}));
const undone = [];
let current = 0, unsaved = false, storage = null, last;

const mark = (item) => item.radios.find((radio) => radio.checked)?.value ?? "";
const say = (text) => { $("said").textContent = text; };
const notice = (text) => { $("notice").textContent = text; $("notice").hidden = false; };
const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

// What is marked is what the page shows: its radio buttons and notes are the state, a snapshot copies them.
const snapshot = () => items.map((item) => [mark(item), item.note.value]);
const check = (item, value) => item.radios.forEach((radio) => { radio.checked = radio.value === value; });
const restore = (rows) => items.forEach((item, at) => { check(item, rows[at][0]); item.note.value = rows[at][1]; });
const table = (sample, value) => Object.fromEntries(
  items.filter((item) => item.sample === sample).map((item) => [item.digest, value(item)]).filter(([, found]) => found));

// Kept in the browser under the digest of each sample, so that marks of the calibration sample outlive a changed rubric.
// A page that was written with marks on it has a key of its own: what it holds is never mixed with what another page kept.
const key = (sample) => `distillery:marks:${form.dataset[sample]}${form.dataset.of && `:${form.dataset.of}`}`;
const keep = () => {
  if (!storage) return;
  try {
    for (const sample of SAMPLES) {
      storage.setItem(key(sample), JSON.stringify({
        reviewer: named.value, unsaved, marks: table(sample, mark), notes: table(sample, (item) => item.note.value) }));
    }
  } catch (error) { refused(error); }
};
const refused = (error) => {
  storage = null;
  notice(`This browser keeps no marks for this page (${error.name}). Save them before you leave it or load it again.`);
};
const kept = (sample) => {
  try { return Object(JSON.parse(storage.getItem(key(sample)))); } catch { return {}; }
};
const take = (marks, notes) => {
  let taken = 0;
  for (const item of items) {
    const found = [marks?.[item.digest], marks?.[item.id]].find((value) => Object.hasOwn(WORDS, value));
    if (found) { check(item, found); taken += 1; }
    if (typeof notes?.[item.digest] === "string") item.note.value = notes[item.digest].slice(0, item.note.maxLength);
  }
  return taken;
};
const bring = () => {
  const found = SAMPLES.map(kept);
  restore(items.map((item) => (found[SAMPLES.indexOf(item.sample)].marks ? ["", ""] : [mark(item), item.note.value])));
  const taken = found.map(({ marks, notes }) => take(marks, notes)).reduce((sum, n) => sum + n, 0);
  unsaved = found.some((one) => one.unsaved === true);
  const name = found.map((one) => one.reviewer).find((one) => typeof one === "string" && one) ?? "";
  if (name) named.value = name.slice(0, named.maxLength);
  return taken;
};
const open = () => {
  try {
    storage = window.localStorage;
    storage.setItem("distillery:marks", "");
    storage.removeItem("distillery:marks");
  } catch (error) { refused(error); return; }
  const taken = bring();
  if (taken) notice(`${plural(taken, "mark")}${named.value && ` by ${named.value}`}, kept in this browser, ${taken === 1 ? "is" : "are"} back. Not yours? Start over.`);
};

const counted = (these) => {
  const found = { on: 0, off: 0, unsure: 0, "": 0 };
  these.forEach((item) => { found[mark(item)] += 1; });
  return { ...found, marked: these.length - found[""], missing: found[""], n: these.length };
};
const show = () => {
  items.forEach((item) => { item.box.dataset.mark = mark(item); });
  for (const row of document.querySelectorAll("tr[data-sample]")) {
    const found = counted(items.filter((item) => item.sample === row.dataset.sample));
    for (const cell of row.querySelectorAll("[data-count]")) {
      const name = cell.dataset.count;
      cell.textContent = name === "marked" ? `${found.marked} of ${found.n}` : found[name];
      cell.classList.toggle("enough", found[name] >= LEAST[name]);
    }
  }
  const all = counted(items);
  $("count").textContent = `${all.marked} of ${all.n} marked: ${all.on} on, ${all.off} off, ${all.unsure} can't say`;
  $("bar").value = all.marked;
  $("undo").disabled = !undone.length;
};
// Anything that is done may be undone: the snapshot from before it is pushed.
const changed = (text) => {
  undone.push(last);
  last = snapshot();
  unsaved = true;
  keep();
  show();
  const { marked, n } = counted(items);
  say(`${text}. ${marked} of ${n} marked`);
};
const put = (item, value) => {
  check(item, value);
  changed(`Article ${item.at + 1}: ${WORDS[value] ?? "no mark"}`);
};
const undo = () => {
  if (!undone.length) return say("Nothing to undo");
  const before = undone.pop();
  const at = last.findIndex((row, place) => row.join() !== before[place].join());
  restore(before);
  last = before;
  unsaved = true;
  keep();
  show();
  if (at >= 0) go(at);
  say(`Undone${at >= 0 ? ` at article ${at + 1}` : ""}`);
};

const go = (at) => {
  if (at < 0 || at >= items.length) return say("No further article");
  items[at].box.focus({ preventScroll: true });
  items[at].box.scrollIntoView({ block: "start" });
};
// A key never marks what nobody looks at: where the current article is scrolled away, it goes to the one that is seen.
const ready = () => {
  const { top, bottom } = items[current].box.getBoundingClientRect();
  if (items[current].box.matches(".current") && bottom > 0 && top < window.innerHeight) return true;
  const at = items.findIndex((item) => item.box.getBoundingClientRect().bottom > window.innerHeight / 3);
  go(at < 0 ? items.length - 1 : at);
  say(`Article ${current + 1}`);
  return false;
};
const decide = (value) => {
  if (!ready()) return;
  put(items[current], value);
  if (value) go(Math.min(current + 1, items.length - 1));
};
const within = () => items[current].box.contains(document.activeElement);
const next = (from) => {
  const order = [...items.slice(from), ...items.slice(0, from)];
  const found = order.find((item) => !mark(item));
  if (found) go(found.at); else say("Every article is marked");
};

const missing = () => items.filter((item) => !mark(item));
const file = () => JSON.stringify({
  format: 2, filter: form.dataset.filter, reviewer: named.value.trim(), complete: !missing().length,
  samples: Object.fromEntries(SAMPLES.map((sample) => [sample, {
    sample: form.dataset[sample], marks: table(sample, mark), notes: table(sample, (item) => item.note.value.trim()),
    missing: missing().filter((item) => item.sample === sample).map((item) => item.digest) }])),
}, null, 1);
const fileName = () => `marks${named.value.trim() && "-"}${named.value.trim().replace(/[^\p{L}\p{N}]+/gu, "-")}.json`;
const saving = () => {
  const left = missing(), lacking = [];
  if (left.length) {
    const numbers = left.map((item) => item.at + 1);
    lacking.push(`${left.length} of ${plural(items.length, "article")} ${left.length === 1 ? "has" : "have"} no mark: ${numbers.slice(0, 30).join(", ")}${numbers.length > 30 ? " …" : ""}. The file will say so.`);
  }
  if (!named.value.trim()) lacking.push("Your name is missing, so that nobody can tell your marks from another reviewer's.");
  for (const sample of SAMPLES) {
    const found = counted(items.filter((item) => item.sample === sample));
    const few = ["on", "off"].filter((kind) => found[kind] < LEAST[kind]).map((kind) => `${found[kind]} of ${LEAST[kind]} ${WORDS[kind]}`);
    if (few.length) lacking.push(`The ${sample} sample has fewer marks than a PASS needs: ${few.join(", ")}.`);
  }
  $("saving-title").textContent = lacking.length ? "This is not complete" : `All ${plural(items.length, "article")} are marked`;
  const list = document.createElement("ul");
  lacking.forEach((text) => { list.append(Object.assign(document.createElement("li"), { textContent: text })); });
  $("lacking").replaceChildren(list);
  $("download").textContent = left.length ? `Save ${plural(items.length - left.length, "mark")} all the same` : `Save ${fileName()}`;
  $("first").hidden = !left.length;
  $("copying").open = false;
  $("copy").value = file();
  $("saving").showModal();
  (lacking.length ? $("lacking") : $("download")).focus();
};
const saved = (how) => {
  unsaved = false;
  keep();
  const { marked, n } = counted(items);
  say(`${how}: ${marked} of ${n} marked`);
};
const download = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file()], { type: "application/json" }));
  link.download = fileName();
  link.click();
  $("saving").close();
  saved(`Saved ${link.download}`);
};
const load = async (chosen) => {
  let found;
  try { found = JSON.parse(await chosen.text()); } catch { return notice(`${chosen.name} is not JSON.`); }
  if (found === null || typeof found !== "object") return notice(`${chosen.name} holds no marks.`);
  const reviewer = typeof found.reviewer === "string" ? found.reviewer.trim() : "";
  if (reviewer && named.value.trim() && reviewer !== named.value.trim()) {
    return notice(`${chosen.name} holds the marks of ${reviewer}, and you are ${named.value.trim()}. Start over first.`);
  }
  const parts = typeof found.format === "number" ? Object.values(found.samples ?? {}) : [{ marks: found }];
  const n = parts.reduce((sum, part) => sum + Object.keys(part?.marks ?? {}).length, 0);
  const taken = parts.reduce((sum, part) => sum + take(part?.marks, part?.notes), 0);
  if (reviewer && !named.value.trim()) named.value = reviewer.slice(0, named.maxLength);
  changed(`Loaded ${chosen.name}`);
  notice(`${chosen.name}: ${plural(taken, "mark")} taken${n > taken ? `, ${n - taken} are of articles that are not on this page` : ""}.`);
};

const typing = (node) => node.closest?.("input:not([type=radio], [type=checkbox]), textarea");
const pressed = {
  1: () => decide("on"),
  2: () => decide("off"),
  3: () => decide("unsure"),
  0: () => decide(""),
  j: () => { if (ready()) go(current + 1); },
  k: () => { if (ready()) go(current - 1); },
  n: () => next(within() ? current + 1 : current),
  u: undo,
  e: () => { if (ready()) items[current].note.focus(); },
  o: () => { if (!ready()) return; const said = items[current].box.querySelector(".oracle"); said.open = !said.open; },
  s: saving,
  "?": () => { $("help").open = !$("help").open; },
};
document.addEventListener("keydown", (event) => {
  if ($("saving").open || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape" && event.target.matches("article textarea")) go(current);
    return;
  }
  const undoing = (event.ctrlKey || event.metaKey) && event.key === "z";
  if ((event.ctrlKey || event.metaKey) && !undoing) return;
  const action = undoing ? undo : $("keys").checked && Object.hasOwn(pressed, event.key) && pressed[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
form.addEventListener("focusin", (event) => {
  const at = items.findIndex((item) => item.box.contains(event.target));
  if (at < 0) return;
  items[current].box.classList.remove("current");
  items[at].box.classList.add("current");
  current = at;
});
form.addEventListener("change", (event) => {
  const at = items.findIndex((item) => item.box.contains(event.target));
  changed(`Article ${at + 1}: ${event.target.matches("textarea") ? "note" : WORDS[event.target.value]}`);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => { unsaved = true; keep(); });
named.addEventListener("input", () => { unsaved = true; keep(); });
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-go]");
  if (link) go(Number(link.dataset.go) - 1);
});
$("next").addEventListener("click", () => next(current + 1));
$("undo").addEventListener("click", undo);
$("save").addEventListener("click", saving);
$("download").addEventListener("click", download);
$("cancel").addEventListener("click", () => $("saving").close());
$("first").addEventListener("click", () => { $("saving").close(); go(missing()[0].at); });
$("copy").addEventListener("copy", () => saved("Copied the marks"));
$("load").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { const [chosen] = $("file").files; $("file").value = ""; if (chosen) load(chosen); });
$("clear").addEventListener("click", () => {
  restore(items.map(() => ["", ""]));
  named.value = "";
  changed("All marks are taken away; undo brings them back");
});
window.addEventListener("storage", (event) => { // the same page in another tab
  if (storage && SAMPLES.some((sample) => key(sample) === event.key)) { bring(); last = snapshot(); show(); }
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) { event.preventDefault(); event.returnValue = true; }
});
open();
last = snapshot();
show();
})();
