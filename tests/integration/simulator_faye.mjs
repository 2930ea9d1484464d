// Faye, the Bayeux client for JavaScript, unchanged: subscribes from a replay id and prints what comes.
import { createRequire } from "node:module";

const [modules, configuration] = process.argv.slice(2);
const faye = createRequire(`${modules}/`)("faye");
const { url, token, channel, replay, count } = JSON.parse(configuration);
const say = (about, body) => process.stdout.write(`${JSON.stringify({ about, ...body })}\n`);

const client = new faye.Client(url, { timeout: 120, retry: 1 });
client.disable("websocket");
client.setHeader("Authorization", `Bearer ${token}`);
client.addExtension({
  outgoing(message, next) {
    if (message.channel === "/meta/subscribe") message.ext = { ...message.ext, replay: { [channel]: replay } };
    next(message);
  },
});
client.on("transport:up", () => say("up", {}));

let seen = 0;
const subscription = client.subscribe(channel, (data) => {
  say("event", { data });
  seen += 1;
  if (seen === count) subscription.cancel();
});
subscription.then(
  () => say("subscribed", {}),
  (error) => {
    say("refused", { code: error.code, message: error.message });
    client.disconnect();
  },
);
const waiting = setInterval(async () => {
  if (seen < count) return;
  clearInterval(waiting);
  await client.disconnect();
  say("disconnected", {});
}, 50);
if (count === 0) clearInterval(waiting);
