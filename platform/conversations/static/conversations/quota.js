// @ts-check
/** What is left of today's AI budget, below the box a question is typed in. */
import { request } from "../jobs/http.js";

/** Looks it up and shows it; nothing where there is no limit. */
export async function showQuota() {
  const line = document.getElementById("quota");
  if (!line) return;
  try {
    const { left, renewedAt } = await request("GET", "/api/quota");
    line.hidden = left === null;
    if (left === null) return;
    line.textContent = `${percent(left)} of today's AI quota left`;
    line.title = `Renewed ${new Date(renewedAt).toLocaleString()}`;
    line.classList.toggle("is-low", left < 0.1);
  } catch {
    // The question itself will tell what is wrong.
  }
}

/** Never "0 %" while something is left. @param {number} share */
function percent(share) {
  return share > 0 && share < 0.01 ? "Under 1 %" : `${Math.floor(share * 100)} %`;
}
