// What the page asks the server of its run, and how errors come back.

async function answered(request) {
  let answer;
  try {
    answer = await request;
  } catch {
    throw new Error("The dashboard does not answer. Is it still running in the terminal?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `error ${answer.status}` }));
  throw new Error(said.error);
}

const address = (what, query) => `${what}?${new URLSearchParams(query)}`;

export async function ask(what, query = {}) {
  return (await answered(fetch(address(what, query)))).json();
}

export async function bytes(what, query = {}) {
  return (await answered(fetch(address(what, query)))).arrayBuffer();
}

export async function numbers(what, query = {}) {
  return new Float32Array(await bytes(what, query));
}

export async function tell(what, request = {}) {
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) };
  return (await answered(fetch(what, sent))).json();
}

/** The particles of a mask that came as bits in base64, one byte a particle. */
export function unpacked(base64, count) {
  const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const mask = new Uint8Array(count);
  for (let i = 0; i < count; i++) mask[i] = (packed[i >> 3] >> (i & 7)) & 1;
  return mask;
}

/** A node with properties, and children that are nodes or text: what comes from files is never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const $ = (id) => document.getElementById(id);
export const counted = (n) => n.toLocaleString("en");
