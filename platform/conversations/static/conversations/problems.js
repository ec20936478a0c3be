// @ts-check
/** Messages for requests that failed or were refused. */

/** @typedef {import("../jobs/client.js").ApiError} ApiError */
/** @typedef {{message: string, seconds?: number | undefined, link?: {href: string, text: string}}} Problem */

/** @param {ApiError} error @returns {Problem} */
export function explain(error) {
  if (error.status === 0) {
    return { message: "The server cannot be reached. Your question is kept; please send it again." };
  }
  if (error.status === 401) return { message: "You have been signed out. Your question is kept.", link: signIn() };
  if (error.status === 409) {
    return { message: "An answer is still being written here. Wait for it or stop it, then send again." };
  }
  return { message: error.message || "That did not work. Please send it again.", seconds: error.retryAfter };
}

function signIn() {
  const here = encodeURIComponent(location.pathname + location.search);
  return { href: `${document.body.dataset.loginUrl}?next=${here}`, text: "Sign in" };
}
