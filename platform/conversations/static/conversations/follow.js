// @ts-check
/** Scrolls to new text if the reader is at the bottom of the page. */

const NEAR_BOTTOM_PX = 120;

export class Follower {
  /** @param {HTMLButtonElement} button scrolls to the newest text */
  constructor(button) {
    this.button = button;
    this.isAtBottom = true;
    addEventListener("scroll", () => this.#look(), { passive: true });
    addEventListener("resize", () => this.grown());
    button.addEventListener("click", () => this.jump());
  }

  /** Call this when the page may have become longer. */
  grown() {
    if (this.isAtBottom) this.jump();
    else this.#look();
  }

  /** Scrolls to the bottom. */
  jump() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.#look();
  }

  #look() {
    const page = document.documentElement;
    this.isAtBottom = page.scrollHeight - scrollY - innerHeight < NEAR_BOTTOM_PX;
    this.button.hidden = this.isAtBottom;
  }
}
