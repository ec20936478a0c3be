// @ts-check
/** Markdown that is still being written. */
import { toFragment } from "./markdown.js";

/** @typedef {import("./markdown.js").Parser} Parser */

/** Renders a growing text. It redraws only changed blocks, so a selection in earlier ones survives. */
export class GrowingMarkdown {
  /** @type {{raw: string, nodes: ChildNode[]}[]} */ #blocks = [];

  /** @param {Element} container @param {Parser} parser */
  constructor(container, parser) {
    this.container = container;
    this.parser = parser;
  }

  /** @param {string} text the whole text so far */
  update(text) {
    const tokens = this.parser.lexer(text);
    const kept = this.#countKept(tokens);
    for (const block of this.#blocks.splice(kept)) block.nodes.forEach((node) => node.remove());
    for (const token of tokens.slice(kept)) {
      const fragment = toFragment(this.parser.parser([token]));
      this.#blocks.push({ raw: token.raw, nodes: [...fragment.childNodes] });
      this.container.append(fragment);
    }
  }

  /** @param {{raw: string}[]} tokens */
  #countKept(tokens) {
    let kept = 0;
    while (kept < this.#blocks.length && this.#blocks[kept]?.raw === tokens[kept]?.raw) kept += 1;
    return kept;
  }
}

const FENCE = /^ {0,3}(```|~~~)/gm;
const PARTIAL_FENCE = /\n[ \t]*(`{1,2}|~{1,2})$/;
// An incomplete marker would turn the line above it into a heading, or flash as text.
const LONE_MARKER = /(^|\n)[ \t]*([-*+=_#>`~]+|\d+[.)]?)[ \t]*$/;
const PARTIAL_CITATION = /\[\d*$/;
const TABLE_WITHOUT_ROWS = /(^|\n\n)\|[^\n]*(\n[|: -]*)?$/;

/** Removes or closes incomplete Markdown at the end of the text. @param {string} text */
export function settle(text) {
  if (count(text, FENCE) % 2) return text.replace(PARTIAL_FENCE, "");
  const calm = text.replace(LONE_MARKER, "$1").replace(PARTIAL_CITATION, "").replace(TABLE_WITHOUT_ROWS, "$1");
  const paragraph = calm.slice(calm.lastIndexOf("\n\n") + 1);
  if (count(paragraph, /`/g) % 2) return close(calm, "`");
  if (count(paragraph, /\*\*/g) % 2) return close(calm, "**");
  return calm;
}

/** @param {string} text @param {string} mark an opened mark, possibly half closed */
function close(text, mark) {
  const bare = text.trimEnd();
  if (bare.endsWith(mark)) return bare.slice(0, -mark.length);
  return (mark === "**" ? bare.replace(/\*$/, "") : bare) + mark;
}

/** @param {string} text @param {RegExp} pattern */
function count(text, pattern) {
  return text.match(pattern)?.length ?? 0;
}
