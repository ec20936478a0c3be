// @ts-check
/** Keeps the newest text in view while the reader is at the bottom of the page, and only then. */

const NEAR = 120;

export class Follower {
  /** @param {HTMLButtonElement} button leads back to the newest text */
  constructor(button) {
    this.button = button;
    this.isAtBottom = true;
    addEventListener("scroll", () => this.#look(), { passive: true });
    addEventListener("resize", () => this.grown());
    button.addEventListener("click", () => this.jump());
  }

  /** The page may have become longer. */
  grown() {
    if (this.isAtBottom) this.jump();
    else this.#look();
  }

  /** To the bottom, wherever the reader is. */
  jump() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.#look();
  }

  #look() {
    const page = document.documentElement;
    this.isAtBottom = page.scrollHeight - scrollY - innerHeight < NEAR;
    this.button.hidden = this.isAtBottom;
  }
}
