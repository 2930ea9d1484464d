// Reads and writes with jsforce, as it is published, and prints what it saw as one JSON object.
// Arguments: module to import, instance URL, access token.

const [module, instanceUrl, accessToken] = process.argv.slice(2);
const { default: jsforce } = await import(module);
const connection = new jsforce.Connection({
    instanceUrl,
    accessToken,
    version: '66.0',
    callOptions: { client: 'Restorer' },
});

const described = await connection.sobject('Account').describe();
const contacts = await connection.query('SELECT Id, Name, Account.Name FROM Contact ORDER BY Id', {
    autoFetch: true,
    maxFetch: 100000,
    headers: { 'Sforce-Query-Options': 'batchSize=200' },
});
const made = await connection.sobject('Account').create({ Name: 'Nova', BillingCity: 'Bonn' });
await connection.sobject('Account').update({ Id: made.id, Phone: '1' });
const row = await connection.sobject('Account').retrieve(made.id);
const many = await connection.sobject('Lead').create([
    { LastName: 'One', Company: 'Nova' },
    { LastName: 'Two', Nonsense: 'x' },
]);
await connection.sobject('Account').destroy(made.id);
let refused = '';
try {
    await connection.query('SELECT Nonsense FROM Account');
} catch (error) {
    refused = error.errorCode;
}
console.log(
    JSON.stringify({
        fields: described.fields.map((field) => field.name),
        contacts: contacts.records.map((record) => record.Id),
        total: contacts.totalSize,
        made: made.id,
        row: { Name: row.Name, Phone: row.Phone, BillingCity: row.BillingCity },
        many: many.map((result) => result.success),
        limits: (await connection.limits()).DailyApiRequests.Max,
        refused,
    }),
);
