// What the console does in the browser beyond plain links and forms: `/` to search, live progress, passkeys.
// Everything but live progress and passkeys works without this file.
"use strict";
(() => {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(input|textarea|select)$/i.test(event.target.tagName) || event.target.isContentEditable) return;
    const box = document.querySelector("main input[type=search]") || document.querySelector("input[type=search]");
    if (box) { event.preventDefault(); box.focus(); box.select(); }
  });

  // How long a change on trial has still: <time data-until="…"> counts down once a second. Not read out: the time itself is.
  const count = (place) => {
    const end = Date.parse(place.dataset.until), left = document.createElement("span");
    left.setAttribute("aria-hidden", "true");
    place.append(left);
    const tell = () => {
      const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
      left.textContent = ` (${seconds ? `in ${Math.floor(seconds / 60)} min ${seconds % 60} s` : "now over; check the host"})`;
      if (seconds && place.isConnected) setTimeout(tell, 1000);
    };
    tell();
  };
  const countAll = () => document.querySelectorAll("[data-until]:not(:has(span))").forEach(count);
  countAll();
  document.addEventListener("htmx:afterSettle", countAll);

  // Live progress of a check: <div data-live="/live/..."> holds a <p> for the sentence; "done" reloads the page's data.
  const follow = (place) => {
    const source = new EventSource(place.dataset.live);
    source.addEventListener("progress", (event) => { place.querySelector("p").textContent = JSON.parse(event.data).says; });
    source.addEventListener("done", (event) => {
      source.close();
      place.querySelector("p").textContent = JSON.parse(event.data).says;
      if (place.dataset.then) window.location.assign(place.dataset.then);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) place.querySelector("p").textContent = "The live connection ended. Reload the page to see where it is.";
    });
  };
  document.querySelectorAll("[data-live]").forEach(follow);
  document.addEventListener("htmx:afterSwap", (event) => event.target.querySelectorAll("[data-live]").forEach(follow));

  // Passkeys. The server's options carry binary fields as base64url text.
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const send = async (url, csrf, body) => {
    const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, body: JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail || "The server refused.");
    return said;
  };
  const pack = (credential) => {
    const r = credential.response;
    const response = { clientDataJSON: text(r.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) if (r[name]) response[name] = text(r[name]);
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response };
  };
  const acts = {
    async enrol(options) {
      options.challenge = bytes(options.challenge);
      options.user.id = bytes(options.user.id);
      options.excludeCredentials = (options.excludeCredentials || []).map((c) => ({ ...c, id: bytes(c.id) }));
      return pack(await navigator.credentials.create({ publicKey: options }));
    },
    async present(options) {
      options.challenge = bytes(options.challenge);
      options.allowCredentials = (options.allowCredentials || []).map((c) => ({ ...c, id: bytes(c.id) }));
      return pack(await navigator.credentials.get({ publicKey: options }));
    },
  };
  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    form.hidden = !window.PublicKeyCredential;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const says = form.querySelector("[role=status]");
      const csrf = form.querySelector("[name=csrf]").value;
      says.textContent = "Waiting for your passkey.";
      try {
        const options = await send(form.action + "/options", csrf, {});
        const credential = await acts[form.dataset.passkey](options);
        const label = form.querySelector("[name=label]");
        const done = await send(form.action, csrf, { credential, label: label ? label.value : "", next: form.dataset.next || "" });
        window.location.assign(done.next);
      } catch (error) {
        says.textContent = error.name === "NotAllowedError" ? "The passkey was not used: it was cancelled or timed out. Try again." : error.message;
      }
    });
  });
})();
