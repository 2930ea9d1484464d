// Subscribes with the Node client of the Pub/Sub API, as it is published, and prints a line for each event.
// Arguments: module to import, JSON of the client's own configuration, topic, events wanted.

const [module, configuration, topic, wanted] = process.argv.slice(2);
const { default: PubSubApiClient } = await import(module);
const quiet = { debug() {}, info() {}, warn() {}, error: (...said) => console.error(...said) };
const client = new PubSubApiClient(JSON.parse(configuration), quiet);

let left = Number(wanted);
const text = (_, value) => (typeof value === 'bigint' ? value.toString() : value);

await client.connect();
client.subscribeFromEarliestEvent(topic, (_subscription, type, data) => {
    if (type === 'error') {
        console.error(data);
        process.exit(1);
    }
    if (type !== 'event' || left === 0) {
        return;
    }
    console.log(JSON.stringify(data, text));
    left -= 1;
    if (left === 0) {
        client.close();
        process.exit(0);
    }
});
