"use strict";

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const storageKey = `listening-${data.id}`;
const ARTIFACTS = ["metallic ringing", "smearing", "aliasing", "muffled highs"];
const player = new Player(() => drawState());
let state = load();
let loading = false;

// ---- answers -----------------------------------------------------------------------------------------------------

// state.plan: the screens in their random order, made once: {test, clip, order | condition, x, number}. `order` is that
// of the versions (numbers of conditions); in an ABX screen `x` is "A" (the reference) or "B" (the condition).
// state.answers: by number of the screen; MUSHRA {condition: {rating, artifacts, comment, heard}}, ABX {answer, heard}.
function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey));
    if (kept && kept.plan) return kept;
  } catch { /* no storage, or not ours: begin anew */ }
  return { session: randomName(), listener: "", equipment: "", plan: makePlan(), answers: {}, step: -1 };
}

function keep() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(state));
  } catch {
    hint("This browser does not keep answers: export them before you close the page.");
  }
  $("export").disabled = Object.keys(state.answers).length === 0;
}

function makePlan() {
  const ratings = shuffle(data.mushra ? data.clips.map((_, i) => i) : []).map((clip) => ({
    test: "mushra", clip, order: shuffle(data.clips[clip].versions.map((_, i) => i)),
  }));
  const pairs = [];
  for (const { clip, condition } of data.abx) {
    // Every pair has as many X = A as X = B, give or take one.
    const sides = shuffle(Array.from({ length: data.abxTrials }, (_, i) => (i % 2 ? "A" : "B")));
    sides.forEach((x, i) => pairs.push({ test: "abx", clip, condition, x, number: i + 1 }));
  }
  return [...ratings, ...pairs];
}

function shuffle(list) {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(randomFraction() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

function randomFraction() {
  return crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
}

function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function answer(step = state.step) {
  return (state.answers[step] ??= {});
}

// ---- screens -----------------------------------------------------------------------------------------------------

async function show(step) {
  player.pause();
  state.step = step;
  keep();
  for (const name of ["start", "trial", "end"]) $(name).hidden = true;
  $("progress").textContent = step >= 0 && step < state.plan.length ? `${step + 1} of ${state.plan.length}` : "";
  if (step < 0) {
    $("start").hidden = false;
    $("listener").value = state.listener;
    $("equipment").value = state.equipment;
    $("begin").textContent = Object.keys(state.answers).length ? "Go on" : "Begin";
    return;
  }
  if (step >= state.plan.length) {
    $("end").hidden = false;
    $("abx-result").replaceChildren(abxResult());
    return;
  }
  const screen = state.plan[step];
  const clip = data.clips[screen.clip];
  const rating = screen.test === "mushra";
  $("trial").hidden = false;
  $("mushra").hidden = !rating;
  $("abx").hidden = rating;
  $("trial-title").textContent = rating
    ? `Clip ${step + 1}: how close is each version to the reference?`
    : `Is X the same as A or the same as B? (${screen.number} of ${data.abxTrials} for this pair)`;
  hint("Loading…");
  loading = true;
  drawState();
  // Heard are, in this order: the open reference and the versions as they stand, or A, B and X.
  const files = rating
    ? [clip.reference, ...screen.order.map((i) => soundOf(clip, i))]
    : [clip.reference, soundOf(clip, screen.condition), screen.x === "A" ? clip.reference : soundOf(clip, screen.condition)];
  if (rating) buildVersions(screen, clip);
  await player.load(files);
  if (state.step !== step) return;
  loading = false;
  hint("");
  drawWave();
  drawState();
}

function soundOf(clip, condition) {
  return clip.versions[condition].sound ?? clip.reference; // the hidden reference is stored once
}

function isDone(screen, step) {
  const given = state.answers[step];
  if (!given) return false;
  if (screen.test === "abx") return Boolean(given.answer);
  return Object.values(given).filter((each) => each.rating !== undefined).length === screen.order.length;
}

function buildVersions(screen, clip) {
  const columns = screen.order.map((condition, position) => {
    const name = clip.versions[condition].name;
    const given = answer()[name] ?? {};
    const column = make("div", { className: "version" });
    const button = make("button", { textContent: String.fromCharCode(65 + position), title: `Key ${position + 1}` });
    button.onclick = () => hear(position + 1);
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: given.rating ?? 50 });
    slider.setAttribute("aria-label", `Rating of version ${button.textContent}`);
    slider.className = given.rating === undefined ? "unset" : "";
    const shown = make("output", { textContent: given.rating ?? "–" });
    const rate = () => {
      slider.className = "";
      shown.textContent = slider.value;
      change(name, { rating: Number(slider.value) });
    };
    slider.oninput = rate;
    slider.onclick = rate; // 50 is a rating too
    column.append(button, slider, shown);
    for (const artifact of ARTIFACTS) {
      const box = make("input", { type: "checkbox", checked: given.artifacts?.includes(artifact) ?? false });
      box.onchange = () => {
        const ticked = new Set(answer()[name]?.artifacts ?? []);
        if (box.checked) ticked.add(artifact);
        else ticked.delete(artifact);
        change(name, { artifacts: ARTIFACTS.filter((each) => ticked.has(each)) });
      };
      const label = make("label");
      label.append(box, artifact);
      column.append(label);
    }
    const comment = make("textarea", { placeholder: "anything else", maxLength: 300, value: given.comment ?? "" });
    comment.oninput = () => change(name, { comment: comment.value });
    column.append(comment);
    return column;
  });
  const reference = make("div", { className: "version" });
  const button = make("button", { textContent: "Reference", title: "Key R" });
  button.onclick = () => hear(0);
  reference.append(button);
  $("versions").replaceChildren(reference, ...columns);
}

function change(name, part) {
  answer()[name] = { ...answer()[name], ...part };
  keep();
  drawState();
}

function hear(index) {
  if (loading) return;
  const screen = state.plan[state.step];
  player.hear(index);
  if (!player.playing) player.play();
  if (screen.test === "abx") {
    answer().heard = [...new Set([...(answer().heard ?? []), "ABX"[index]])];
    keep();
  } else if (index > 0) {
    change(data.clips[screen.clip].versions[screen.order[index - 1]].name, { heard: true });
  }
  drawState();
}

function missing() {
  const screen = state.plan[state.step];
  if (!screen) return "";
  if (screen.test === "abx") {
    const heard = answer().heard ?? [];
    return ["A", "B", "X"].every((side) => heard.includes(side)) ? "" : "Listen to A, B and X first.";
  }
  const given = Object.values(answer());
  const count = screen.order.length;
  if (given.filter((each) => each.heard).length < count) return "Listen to every version before you go on.";
  return given.filter((each) => each.rating !== undefined).length < count ? "Move every slider before you go on." : "";
}

function abxResult() {
  const pairs = new Map();
  state.plan.forEach((screen, step) => {
    if (screen.test !== "abx" || !state.answers[step]?.answer) return;
    const name = data.clips[screen.clip].versions[screen.condition].name;
    const [right, all] = pairs.get(name) ?? [0, 0];
    pairs.set(name, [right + (state.answers[step].answer === screen.x ? 1 : 0), all + 1]);
  });
  const table = make("table");
  for (const [name, [right, all]] of pairs) {
    table.insertRow().append(make("td", { textContent: name }), make("td", { textContent: `${right} of ${all} right` }));
  }
  return table;
}

// ---- drawing -----------------------------------------------------------------------------------------------------

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function hint(text) {
  $("hint").textContent = text;
}

function drawState() {
  const screen = state.plan[state.step];
  if (!screen) return;
  $("play").textContent = player.playing ? "Pause" : "Play";
  for (const button of document.querySelectorAll("#trial button")) button.disabled = loading;
  [...$("versions").children].forEach((column, i) => {
    column.classList.toggle("on", i === player.audible);
    column.firstElementChild.classList.toggle("on", i === player.audible);
  });
  for (const button of document.querySelectorAll("[data-side]")) {
    button.classList.toggle("on", "ABX"[player.audible] === button.dataset.side);
  }
  const reason = missing();
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.classList.toggle("on", answer().answer === button.dataset.answer);
    button.disabled = loading || Boolean(reason);
  }
  $("next").disabled = loading || Boolean(reason) || (screen.test === "abx" && !answer().answer);
  $("back").disabled = loading;
  if (!loading) hint(reason);
}

let outline = null;
function drawWave() {
  const canvas = $("wave");
  canvas.width = canvas.clientWidth || 600;
  const samples = player.buffers[0].getChannelData(0);
  const per = samples.length / canvas.width;
  let loudest = 1e-4;
  outline = Array.from({ length: canvas.width }, (_, x) => {
    let peak = 0;
    for (let i = Math.floor(x * per); i < (x + 1) * per && i < samples.length; i++) peak = Math.max(peak, Math.abs(samples[i]));
    loudest = Math.max(loudest, peak);
    return peak;
  }).map((peak) => peak / loudest);
}

function drawTime() {
  requestAnimationFrame(drawTime);
  if (!outline || !player.duration || $("trial").hidden) return;
  const canvas = $("wave");
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const x = (seconds) => (seconds / player.duration) * width;
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = "#e4dfda";
  pen.fillRect(x(player.region[0]), 0, x(player.region[1] - player.region[0]), height);
  pen.fillStyle = "#8c8681";
  outline.forEach((peak, i) => pen.fillRect(i, (height / 2) * (1 - peak), 1, Math.max(1, height * peak)));
  pen.fillStyle = "#b3261e";
  pen.fillRect(x(player.position()) - 1, 0, 2, height);
  $("clock").textContent = `${player.position().toFixed(1)} / ${player.duration.toFixed(1)} s`;
}

// ---- export ------------------------------------------------------------------------------------------------------

const COLUMNS = ["page", "session", "listener", "equipment", "test", "clip", "kind", "condition", "role", "rating",
  "artifacts", "comment", "trial", "x", "answer", "correct"];

function csv() {
  const rows = [COLUMNS];
  const who = { page: data.id, session: state.session, listener: state.listener, equipment: state.equipment };
  state.plan.forEach((screen, step) => {
    const given = state.answers[step];
    if (!given) return;
    const clip = data.clips[screen.clip];
    const about = { ...who, test: screen.test, clip: clip.name, kind: clip.kind };
    if (screen.test === "abx") {
      if (!given.answer) return;
      const { name, role } = clip.versions[screen.condition];
      rows.push(line({ ...about, condition: name, role, trial: screen.number, x: screen.x, answer: given.answer,
        correct: given.answer === screen.x ? 1 : 0 }));
      return;
    }
    for (const { name, role } of clip.versions) {
      const { rating, artifacts = [], comment = "" } = given[name] ?? {};
      if (rating === undefined) continue;
      rows.push(line({ ...about, condition: name, role, rating, artifacts: artifacts.join("; "), comment }));
    }
  });
  return rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function line(values) {
  return COLUMNS.map((column) => values[column] ?? "");
}

function quoted(value) {
  const text = String(value).replace(/[\r\n]+/g, " ");
  // A leading sign would be a formula to a spreadsheet.
  const safe = /^[=+@\t-]/.test(text) ? `'${text}` : text;
  return /[",;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function download() {
  const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  make("a", { href: url, download: `listening-${data.id}-${state.session}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// ---- controls ----------------------------------------------------------------------------------------------------

$("begin").onclick = () => {
  state.listener = $("listener").value.trim();
  state.equipment = $("equipment").value.trim();
  const open = state.plan.findIndex((screen, step) => !isDone(screen, step));
  show(open < 0 ? state.plan.length : open);
};
$("next").onclick = () => show(state.step + 1);
$("back").onclick = () => show(state.step - 1);
$("play").onclick = () => (player.playing ? player.pause() : hear(player.audible));
$("loop").onchange = () => player.setLooping($("loop").checked);
$("whole").onclick = () => player.setRegion(0, player.duration);
$("export").onclick = download;
$("restart").onclick = () => {
  if (!confirm("Delete all answers in this browser and begin anew?")) return;
  localStorage.removeItem(storageKey);
  state = load();
  show(-1);
};
for (const button of document.querySelectorAll("[data-side]")) {
  button.onclick = () => hear("ABX".indexOf(button.dataset.side));
}
for (const button of document.querySelectorAll("[data-answer]")) {
  button.onclick = () => {
    answer().answer = button.dataset.answer;
    keep();
    drawState();
  };
}

let dragFrom = null;
const timeAt = (event) => {
  const box = $("wave").getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * player.duration;
};
$("wave").onpointerdown = (event) => {
  dragFrom = timeAt(event);
  $("wave").setPointerCapture(event.pointerId);
};
$("wave").onpointerup = (event) => {
  if (dragFrom === null) return;
  const [start, end] = [dragFrom, timeAt(event)].sort((a, b) => a - b);
  if (end - start > 0.3) player.setRegion(start, end);
  else player.seek(end);
  dragFrom = null;
};

document.addEventListener("keydown", (event) => {
  if ($("trial").hidden || loading || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, input[type=text], input:not([type])")) return;
  if (event.key === " " && event.target.matches("input[type=checkbox]")) return;
  const key = event.key.toLowerCase();
  const rating = state.plan[state.step].test === "mushra";
  if (key === " ") {
    event.preventDefault();
    $("play").click();
  } else if (rating && key === "r") hear(0);
  else if (rating && key >= "1" && key <= "9" && Number(key) < player.buffers.length) hear(Number(key));
  else if (!rating && "abx".includes(key)) hear("abx".indexOf(key));
});

if (!data.mushra) $("about-mushra").hidden = true;
if (!data.abx.length) $("about-abx").hidden = true;
window.listening = { player, csv, state: () => state };
drawTime();
show(Math.min(state.step, -1));
