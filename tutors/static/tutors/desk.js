// @ts-check
/** Switches between the parts of the page. On wide screens the conversation is always visible. */

/** @typedef {"chat" | "drafts" | "learners"} View */

const WIDE = matchMedia("(min-width: 75rem)");

export class Desk {
  /** @type {View} */ #view = "chat";
  /** @type {View} the part beside the conversation */ #beside = "drafts";

  constructor() {
    this.page = /** @type {HTMLElement} */ (document.getElementById("main"));
    this.buttons = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#desk-tabs [data-view]"))];
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.show(/** @type {View} */ (button.dataset.view)));
    }
    WIDE.addEventListener("change", () => this.#draw());
    this.#draw();
  }

  /** @param {View} view */
  show(view) {
    this.#view = view;
    if (view !== "chat") this.#beside = view;
    this.#draw();
  }

  #draw() {
    const shown = WIDE.matches ? this.#beside : this.#view;
    this.page.dataset.view = this.#view;
    for (const name of ["drafts", "learners"]) {
      /** @type {HTMLElement} */ (document.getElementById(name)).hidden = name !== this.#beside;
    }
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.view === shown));
  }
}
