// @ts-check
/** Which conversation goes on after a reload, and on the next page. */

const CONVERSATION = "landing:conversation";
let unstored = "";

/** The conversation's id, "" when there is none. */
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
    // Storage is forbidden: it is known until the next reload.
  }
}
