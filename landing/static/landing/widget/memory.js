// @ts-check
/** Remembers the conversation across reloads and pages. */

const CONVERSATION = "landing:conversation";
let unstored = "";

/** Returns the conversation's id, "" if there is none. */
export function recall() {
  try {
    return localStorage.getItem(CONVERSATION) ?? unstored;
  } catch {
    return unstored;
  }
}

/** @param {string} conversationId "" to forget */
export function keep(conversationId) {
  unstored = conversationId;
  try {
    if (conversationId) localStorage.setItem(CONVERSATION, conversationId);
    else localStorage.removeItem(CONVERSATION);
  } catch {
    // Storage is blocked: the id is lost on reload.
  }
}
