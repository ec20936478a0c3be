// @ts-check
/** One draft on the page: view, edit, regenerate, accept, discard. */
import { request } from "../jobs/http.js";
import { drawContent, labelOf } from "./content.js";
import { fillForm, readForm } from "./editing.js";
import { clone, part } from "./parts.js";

/** @typedef {import("../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../jobs/client.js").JobEvent} JobEvent */
/** @typedef {import("./content.js").Content} Content */
/**
 * @typedef {{draftId: string, kind: string, status: string, version: number, content: Content, isEdited: boolean,
 *   writtenBy: string | null}} Draft
 */
/**
 * @typedef {object} Surroundings
 * @property {string} url of the course's drafts
 * @property {string} lessonUrl the address of lesson 0
 * @property {import("../jobs/client.js").JobsClient} client
 * @property {() => void} onDecided a draft was accepted or discarded
 */

const SURE_FOR = 5_000;

export class DraftCard {
  #isSure = false;
  #isBusy = false;

  /** @param {Draft} draft @param {Surroundings} surroundings */
  constructor(draft, surroundings) {
    this.draft = draft;
    this.surroundings = surroundings;
    this.url = `${surroundings.url}/${draft.draftId}`;
    this.element = clone("draft-template");
    this.form = /** @type {HTMLFormElement} */ (part(this.element, "form"));
    this.again = /** @type {HTMLFormElement} */ (part(this.element, "again"));
    part(this.element, "buttons").hidden = draft.status !== "draft";
    this.#wire();
    this.#draw();
  }

  /** Shows the server's version, unless the tutor is editing. @param {Draft} draft */
  update(draft) {
    if (!this.form.hidden || this.#isBusy || draft.version === this.draft.version) return;
    this.draft = draft;
    this.#draw();
  }

  #wire() {
    this.#on("edit", () => this.#edit());
    this.#on("accept", () => this.#decide("accept", { version: this.draft.version }));
    this.#on("discard", () => this.#discard());
    this.#on("regenerate", () => this.#open(this.again));
    part(this.again, "cancel").addEventListener("click", () => this.#close());
    this.again.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#regenerate();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  #draw() {
    part(this.element, "label").textContent = labelOf(this.draft.content);
    part(this.element, "edited").hidden = !this.draft.isEdited;
    drawContent(part(this.element, "view"), this.draft.content, this.surroundings.lessonUrl);
  }

  #edit() {
    fillForm(this.form, this.draft, () => this.#close());
    part(this.element, "view").hidden = true;
    this.#open(this.form);
  }

  async #save() {
    try {
      const payload = JSON.stringify({ version: this.draft.version, content: readForm(this.form) });
      this.draft = await request("PATCH", this.url, { payload });
      this.#draw();
      this.#close();
      this.#say("Saved.");
    } catch (caught) {
      const error = /** @type {ApiError} */ (caught);
      if (error.code === "changed") {
        this.draft = { ...this.draft, version: error.details.version };
        return this.#say("This draft has changed in the meantime. Save again to replace it with your text.");
      }
      this.#say(error.message);
    }
  }

  async #regenerate() {
    const { value: instruction } = /** @type {HTMLInputElement} */ (this.again.elements.namedItem("instruction"));
    this.#close();
    this.#setBusy(true);
    this.#say("Rewriting…");
    try {
      const { jobId } = await this.surroundings.client.submit(`${this.url}/regenerate`, { instruction });
      this.surroundings.client.watch(jobId, { onEvent: (event) => this.#hear(event) });
    } catch (error) {
      this.#setBusy(false);
      this.#say(/** @type {ApiError} */ (error).message);
    }
  }

  /** @param {JobEvent} event */
  async #hear({ type, jobId, error, reason }) {
    if (type === "job.retrying") return this.#say(reason ?? "");
    if (type === "job.failed" || type === "job.cancelled") {
      this.#setBusy(false);
      return this.#say(error?.message ?? "Stopped. The draft is unchanged.");
    }
    if (type !== "job.completed") return;
    try {
      const draft = await request("GET", this.url);
      if (this.form.hidden) this.draft = draft;
      this.#draw();
      this.#say(draft.writtenBy === jobId ? "Rewritten." : "The draft was edited in the meantime, so the edited text was kept.");
    } catch (failure) {
      this.#say(/** @type {ApiError} */ (failure).message);
    }
    this.#setBusy(false);
  }

  /** Asks for confirmation on the first press and discards on the second. */
  #discard() {
    if (this.#isSure) return this.#decide("discard", {});
    this.#isSure = true;
    part(this.element, "discard").textContent = "Really discard?";
    setTimeout(() => {
      this.#isSure = false;
      part(this.element, "discard").textContent = "Discard";
    }, SURE_FOR);
  }

  /** @param {"accept" | "discard"} action @param {object} body */
  async #decide(action, body) {
    try {
      await request("POST", `${this.url}/${action}`, { payload: JSON.stringify(body) });
      this.#moveFocus();
      this.surroundings.onDecided();
    } catch (error) {
      this.#say(/** @type {ApiError} */ (error).message);
      this.surroundings.onDecided();
    }
  }

  /** Moves the focus to the next card before this one is removed. */
  #moveFocus() {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    if (next) part(next, "accept").focus();
  }

  /** @param {HTMLFormElement} form */
  #open(form) {
    this.#say("");
    part(this.element, "buttons").hidden = true;
    form.hidden = false;
    /** @type {HTMLElement | null} */ (form.querySelector("textarea, input"))?.focus();
  }

  #close() {
    const hadFocus = this.element.contains(document.activeElement);
    this.form.hidden = this.again.hidden = true;
    part(this.element, "view").hidden = false;
    part(this.element, "buttons").hidden = false;
    if (hadFocus) part(this.element, "edit").focus();
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.element.setAttribute("aria-busy", String(isBusy));
  }

  /** @param {string} text */
  #say(text) {
    part(this.element, "note").textContent = text;
  }

  /** @param {string} name @param {() => void} act */
  #on(name, act) {
    part(this.element, name).addEventListener("click", () => {
      if (!this.#isBusy || name === "edit") act();
    });
  }
}
