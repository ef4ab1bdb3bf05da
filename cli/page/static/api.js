// Asks the server. An answer that came too late is dropped, and a server that is gone is said to be.

const PATIENCE = 3;
/** Tells `gone` and `back`. */
export const connection = new EventTarget();

/** What the server said is wrong, in its own sentence. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The server did not answer at all. */
export class Gone extends Error {}

/** The JSON of an address. */
export async function ask(path, parameters = {}, { signal, ...options } = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") words.set(name, value);
  }
  const address = words.size ? `${path}?${words}` : path;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetched(address, { signal, ...options });
    if (answer.status === 503 && attempt < PATIENCE) {
      await pause(1000 * Math.min(5, Number(answer.headers.get("retry-after")) || 1), signal);
      continue;
    }
    if (!answer.ok) throw new Refused(await reason(answer), answer.status);
    return answer.json();
  }
}

async function fetched(address, options) {
  try {
    const answer = await fetch(address, options);
    connection.dispatchEvent(new Event("back"));
    return answer;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    connection.dispatchEvent(new Event("gone"));
    throw new Gone("The server does not answer.");
  }
}

async function reason(answer) {
  const fallback = `The server answered ${answer.status} ${answer.statusText}`.trim() + ".";
  try {
    const { detail } = await answer.json();
    // FastAPI's own refusal of a value is a list of what is wrong with which.
    return Array.isArray(detail) ? detail.map((one) => `${one.loc?.at(-1)}: ${one.msg}`).join("; ") : detail || fallback;
  } catch {
    return fallback;
  }
}

/** Wait, unless it is called off. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** One thing asked at a time: each new task calls off the one before, so that no older answer is shown over a newer. */
export class Latest {
  #running = null;

  /** Run a task, which gets a signal, then do something with its answer or with its error. */
  async run(task, show, fail) {
    this.stop();
    const { signal } = (this.#running = new AbortController());
    try {
      const answer = await task(signal);
      if (!signal.aborted) show(answer);
    } catch (error) {
      if (!signal.aborted) fail(error);
    }
  }

  stop() {
    this.#running?.abort();
  }
}
