// Everything works without this file. It keeps pages fresh that show what is going on, and knows one key.
"use strict";

const EVERY_MS = 3000;

// Takes the parts of the class `live` from the page as it is now.
async function refresh() {
  const response = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll(".live")) {
    const now = fresh.getElementById(part.id);
    // Whoever is in it with the keyboard stays there.
    if (now && !part.contains(document.activeElement)) part.replaceWith(now);
  }
  document.body.toggleAttribute("data-live", fresh.body.hasAttribute("data-live"));
}

// One at a time, and only while somebody looks.
async function keepFresh() {
  while (document.body.hasAttribute("data-live")) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    if (document.hidden) continue;
    try {
      await refresh();
      document.body.removeAttribute("data-stale");
    } catch {
      // The session may be over, or the server away: what is shown is then old, and says so.
      document.body.setAttribute("data-stale", "");
    }
  }
}

// `/` leads to the search.
document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest("input, textarea, select");
  const field = document.querySelector("[data-hotkey='/']");
  if (event.key !== "/" || isWriting || !field || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
});

keepFresh();
