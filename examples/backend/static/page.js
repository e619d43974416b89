// Every document as it is now, and an editor of one. What a document or a name says is only ever
// set as text, never as HTML.

// What the stream tells of a document that is not there.
const MISSING = "missing";
// Asks for a load, whatever version the page has.
const ANY = "any";
// The server does not answer, or what stands before it says so: it is about to come back.
const IS_AWAY = [0, 502, 503, 504];
const PAUSE = 1000;
// So long a stream may be away before it is said: one that polls goes and comes back each second.
const PATIENCE = 3000;

const element = (id) => document.getElementById(id);
const editor = element("editor");
const documents = new Map();
let shown;
let shownNotice;
let warning;

// A document of the catalogue.
class Entry {
  constructor(name, file) {
    this.name = name;
    this.file = file;
    this.address = `api/data/${encodeURIComponent(name)}`;
    // As the server has it; no version before the first load, and where it cannot be read.
    this.version = null;
    this.text = "";
    this.savedAt = 0;
    this.isUnreadable = false;
    // What was typed, and the text and version that it was begun on.
    this.draft = null;
    this.dropped = null;
    this.notice = { kind: "", text: "", faults: [] };
    // A version that a load has still to bring; null for none.
    this.awaited = null;
    this.loading = null;
    this.saves = 0;
    this.isSaving = false;
    this.link = make("a", "");
    this.link.href = `#${encodeURIComponent(name)}`;
  }

  get isInConflict() {
    if (this.draft === null || this.version === null || this.isSaving) return false;
    return this.draft.version !== this.version;
  }

  tell(kind, text, faults = []) {
    this.notice = { kind, text, faults };
    this.render();
  }

  // Loads what the server has; one load at a time, so that an older answer never comes last.
  load(awaited = ANY) {
    this.awaited = awaited;
    this.loading ??= this.loadAwaited().finally(() => (this.loading = null));
    return this.loading;
  }

  async loadAwaited() {
    while (this.awaited !== null && this.awaited !== this.version) {
      this.awaited = null;
      const saves = this.saves;
      const { status, headers, body } = await ask(this.address);
      if (IS_AWAY.includes(status)) {
        await pause();
        this.awaited = ANY;
      } else if (saves === this.saves) {
        // What was asked before a save of one's own ended may be older than that save.
        this.take(status, headers, body);
      }
    }
    this.awaited = null;
  }

  take(status, headers, body) {
    const before = this.version;
    if (this.isUnreadable) this.notice = { kind: "", text: "", faults: [] };
    this.isUnreadable = false;
    this.text = "";
    this.savedAt = Number(headers.get("Saved-At"));
    if (status === 200) {
      this.version = versionIn(headers);
      this.text = layOut(body);
    } else if (status === 404) {
      this.version = MISSING;
    } else {
      this.version = null;
      this.isUnreadable = true;
      this.notice = { kind: "bad", text: readError(body), faults: [] };
    }
    if (!this.isSaving && this.isDrafted()) this.draft = null;
    this.render();
    if (before !== null && before !== this.version) this.flash();
  }

  // Whether the server has what was typed, in whatever layout.
  isDrafted() {
    return this.draft !== null && isJSON(this.draft.text) && layOut(this.draft.text) === this.text;
  }

  type(text) {
    this.draft ??= { version: this.version, base: this.text };
    this.draft.text = text;
    // Typed back to what there is.
    if (text === this.text && !this.isSaving && !this.isInConflict) this.draft = null;
    this.tell("", "");
  }

  async save() {
    if (this.isSaving) return;
    if (this.draft === null) {
      this.tell("", "There is nothing to save.");
      return;
    }
    const { text, version } = this.draft;
    if (!isJSON(text, (why) => this.tell("bad", `Not saved: this is no JSON. ${why}`))) return;
    const [name, tag] = version === MISSING ? ["If-None-Match", "*"] : ["If-Match", `"${version}"`];
    const conditions = { "Content-Type": "application/json", [name]: tag };
    this.isSaving = true;
    this.tell("", "Saving …");
    const request = { method: "PUT", headers: conditions, body: text };
    const { status, headers, body } = await ask(this.address, request);
    this.isSaving = false;
    if (status === 200) {
      this.wasSaved(text, version, versionIn(headers));
    } else if (status === 0) {
      // Saved or not: the load tells.
      this.tell("bad", "The server did not answer. Your text is still here: save it again.");
      this.load();
    } else if (status === 412) {
      await this.load();
      const told = "Not saved: somebody else has saved this document since you began.";
      this.tell("bad", this.isInConflict ? told : readError(body));
    } else {
      const { error, faults } = readRefusal(body);
      this.tell("bad", error, faults);
    }
  }

  wasSaved(text, before, version) {
    this.saves += 1;
    // What was typed on meanwhile is an edit of what was saved.
    this.draft = this.draft.text === text ? null : { text: this.draft.text, version, base: text };
    // The stream may have brought this version by now, or a later one.
    if (this.version === before) {
      this.version = version;
      this.text = text;
    }
    this.tell("good", "Saved.");
    this.load();
  }

  undo() {
    if (this.draft === null || this.isSaving) return;
    this.dropped = this.draft.text;
    this.draft = null;
    this.tell("", "");
  }

  bringBack() {
    const text = this.dropped;
    this.dropped = null;
    this.type(text);
  }

  keepMine() {
    this.draft.version = this.version;
    this.draft.base = this.text;
    this.tell("", "Your text stands. Save it, and it takes the place of theirs.");
  }

  render() {
    const mark = this.isInConflict ? "somebody else has saved" : this.draft ? "unsaved edits" : "";
    const told = [make("small", `${this.told} `), make("small", mark, "mark")];
    this.link.replaceChildren(make("strong", this.name), ...told);
    if (shown === this) this.show();
  }

  // The version and the time.
  get told() {
    if (this.isUnreadable) return "cannot be read";
    if (this.version === null) return "loading …";
    if (this.version === MISSING) return "there is none";
    const time = new Date(this.savedAt * 1000).toLocaleString();
    return `${time} · ${this.version.slice(0, 8)}`;
  }

  flash() {
    this.link.classList.remove("changed");
    requestAnimationFrame(() => this.link.classList.add("changed"));
  }

  show() {
    element("name").textContent = this.name;
    element("facts").replaceChildren(`${this.file} · ${this.told}`);
    element("facts").title = this.version ?? "";
    const text = this.draft?.text ?? this.text;
    if (editor.value !== text) {
      const { selectionStart, selectionEnd, scrollTop } = editor;
      editor.value = text;
      editor.setSelectionRange(selectionStart, selectionEnd);
      editor.scrollTop = scrollTop;
    }
    editor.readOnly = this.version === null;
    element("bring-back").hidden = this.dropped === null || this.draft !== null;
    this.showNotice();
    this.showConflict();
  }

  showNotice() {
    // Once, since whoever listens to the page hears what is set.
    if (shownNotice === this.notice) return;
    shownNotice = this.notice;
    const { kind, text, faults } = this.notice;
    element("notice").dataset.kind = kind;
    element("notice").replaceChildren(make("p", text), make("ul", ""));
    element("notice").lastChild.append(...faults.map((fault) => make("li", fault)));
  }

  showConflict() {
    element("conflict").hidden = !this.isInConflict;
    if (!this.isInConflict) return;
    const what = this.version === MISSING ? "deleted" : "saved";
    setText(element("conflict-title"), `Somebody else has ${what} this document since you began`);
    const known = new Set(this.draft.base.split("\n"));
    const marked = (line) => (known.has(line) ? line : make("mark", line));
    const lines = this.text.split("\n").flatMap((line) => [marked(line), "\n"]);
    element("theirs").replaceChildren(...lines);
  }
}

function make(tag, text, className = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className });
}

// Sets a text that whoever listens to the page hears: once, not each time.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Asks the server; the status is 0 where it does not answer.
async function ask(address, request) {
  try {
    const answer = await fetch(address, request);
    return { status: answer.status, headers: answer.headers, body: await answer.text() };
  } catch {
    return { status: 0, headers: new Headers(), body: "" };
  }
}

function versionIn(headers) {
  return (headers.get("ETag") ?? "").replace(/^W\//, "").replaceAll('"', "");
}

function readRefusal(body) {
  try {
    const { error, faults = [] } = JSON.parse(body);
    // The reason has the first fault.
    const told = faults.length > 1 ? faults : [];
    const lines = told.map((fault) => `${fault.document}: ${fault.message}`);
    return { error: String(error), faults: lines };
  } catch {
    return { error: "The server gave no reason.", faults: [] };
  }
}

function isJSON(text, tell = () => {}) {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    tell(error.message);
    return false;
  }
}

const readError = (body) => readRefusal(body).error;

// Lays a JSON text out by its tokens. A text that is parsed and written anew would have 380 for
// 380.0, another number for a very large one, and keys that are numbers in another order.
function layOut(text) {
  const tokens = text.match(/"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  const parts = [];
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, index) => {
    if ("{[".includes(token)) {
      depth += 1;
      parts.push(token, "}]".includes(tokens[index + 1]) ? "" : newLine());
    } else if ("}]".includes(token)) {
      depth -= 1;
      parts.push("{[".includes(tokens[index - 1]) ? "" : newLine(), token);
    } else if (token === ",") {
      parts.push(token, newLine());
    } else if (token === ":") {
      parts.push(": ");
    } else {
      parts.push(token.startsWith('"') ? JSON.stringify(JSON.parse(token)) : token);
    }
  });
  return parts.join("");
}

// Follows the changes, for as long as the page is open.
function listen() {
  const stream = new EventSource("api/stream");
  stream.onopen = () => {
    clearTimeout(warning);
    warning = undefined;
    tellConnection("live", "Live: changes show by themselves");
  };
  stream.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "update") {
      const changed = documents.get(message.data_type);
      if (changed && changed.version !== message.version) changed.load(message.version);
    } else if (message.type === "error") {
      tellConnection("lost", message.error);
    }
  };
  stream.onerror = () => {
    const warn = () => tellConnection("lost", "Not connected: trying again");
    warning ??= setTimeout(warn, PATIENCE);
    // The browser comes back by itself, unless the answer was no stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, PAUSE);
  };
}

function tellConnection(state, text) {
  element("connection").dataset.state = state;
  setText(element("connection"), text);
}

function choose() {
  const first = documents.values().next().value;
  let name;
  try {
    name = decodeURIComponent(location.hash.slice(1));
  } catch {
    // Typed by hand.
  }
  shown?.link.removeAttribute("aria-current");
  shown = documents.get(name) ?? first;
  shown.link.setAttribute("aria-current", "page");
  element("document").hidden = false;
  editor.value = "";
  shown.show();
}

async function plan(button) {
  const told = element("planned");
  setText(told, "Planning …");
  const { status, body } = await ask(button.dataset.address, { method: "POST" });
  setText(told, status === 200 ? `${button.textContent}: done` : readError(body));
}

const pause = () => new Promise((wake) => setTimeout(wake, PAUSE));

async function begin() {
  const answer = await fetch("api/documents");
  for (const [name, file] of Object.entries(await answer.json())) {
    const each = new Entry(name, file);
    documents.set(name, each);
    const item = make("li", "");
    item.append(each.link);
    element("documents").append(item);
    each.render();
    each.load();
  }
  choose();
  window.addEventListener("hashchange", choose);
  editor.addEventListener("input", () => shown.type(editor.value));
  element("save").addEventListener("click", () => shown.save());
  element("undo").addEventListener("click", () => shown.undo());
  // A button that goes takes the focus along.
  const thenEdit = (act) => () => {
    act();
    editor.focus();
  };
  element("bring-back").addEventListener("click", thenEdit(() => shown.bringBack()));
  element("keep-mine").addEventListener("click", thenEdit(() => shown.keepMine()));
  element("take-theirs").addEventListener("click", thenEdit(() => shown.undo()));
  for (const button of element("planners").children) {
    button.addEventListener("click", () => plan(button));
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      shown.save();
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if ([...documents.values()].some((each) => each.draft !== null)) event.preventDefault();
  });
  listen();
}

begin().catch(() => tellConnection("lost", "The server does not answer: load the page again"));
