import { useState } from "preact/hooks";
import { ask, Problem, setToken } from "../api";

/** One field: the token. It stays in this tab alone. */
export function SignIn({ done }: { done: () => void }) {
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const enter = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setToken(String(new FormData(event.currentTarget as HTMLFormElement).get("token") ?? ""));
    try {
      await ask("status");
      done();
    } catch (error) {
      setTrouble(error instanceof Problem && error.status === 401 ? "This is not a token of this recorder." : String((error as Error).message));
    }
    setBusy(false);
  };
  return (
    <main class="sign-in">
      <div class="card">
        <h1>Flight recorder</h1>
        <p class="lead">
          Enter the token of this recorder. On the machine it runs on it stands in the file <code>cdc.token</code> beside its settings, unless a tokens
          file is set.
        </p>
        <form onSubmit={enter}>
          <label>
            Token
            <input name="token" type="password" autocomplete="off" required autofocus />
          </label>
          {trouble && (
            <p class="state bad" role="alert">
              {trouble}
            </p>
          )}
          <p>
            <button class="main" disabled={busy}>
              Enter
            </button>
          </p>
        </form>
      </div>
    </main>
  );
}
