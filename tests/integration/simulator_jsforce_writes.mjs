// What a Node program does with jsforce, as its documentation shows: log in, write, load in bulk, undelete, query.
// Arguments: jsforce's main file, instance URL, user name, password. Prints one JSON object.

import { createRequire } from "node:module";

const [library, url, username, password] = process.argv.slice(2);
const jsforce = createRequire(import.meta.url)(library);
const connection = new jsforce.Connection({ loginUrl: url, version: "66.0", callOptions: { client: "LoaderJs" } });
const user = await connection.login(username, password);
const seen = { user: user.id, organization: user.organizationId, identity: (await connection.identity()).username };

const made = await connection.sobject("Contact").create({ LastName: "Lind", Email: "lind@example.com" });
const contact = connection.sobject("Contact").record(made.id);
await contact.update({ Phone: "1" });
seen.phone = (await contact.retrieve()).Phone;
const many = Array.from({ length: 250 }, (_, n) => ({ Subject: `Case ${n}` }));
seen.many = (await connection.sobject("Case").create(many, { allowRecursive: true })).filter((one) => one.success).length;
seen.upserted = await connection.sobject("Account").upsert([{ Erp_Number__c: "JS-1", Name: "Nova" }], "Erp_Number__c");
seen.destroyed = await connection.sobject("Contact").destroy([made.id, "003000000000001AAA"]).catch((e) => e.errorCode);

const undeleted = await connection.soap.undelete?.([made.id]);
seen.undeleted = undeleted ?? "not offered";
seen.limits = (await connection.limits()).DailyApiRequests.Max;
seen.global = (await connection.describeGlobal()).sobjects.length;
seen.deleted = (await connection.sobject("Contact").deleted("2026-08-31T00:00:00Z", "2026-08-31T00:10:00Z")).deletedRecords.length;

const nested = await connection.query(
  "SELECT Id, Name, (SELECT Id, LastName FROM Contacts) FROM Account WHERE Id IN (SELECT AccountId FROM Contact) LIMIT 5",
);
seen.nested = nested.records.every((one) => one.Contacts.totalSize > 0) && nested.records.length;
seen.count = await connection.sobject("Lead").count();
seen.found = await connection.sobject("Lead").find({ Status: { $ne: "Closed" } }, "Id, Name").limit(3).then((r) => r.length);

const composite = await connection.requestPost("/services/data/v66.0/composite", {
  allOrNone: true,
  compositeRequest: [
    { method: "POST", url: "/services/data/v66.0/sobjects/Account", referenceId: "a", body: { Name: "Parent" } },
    { method: "POST", url: "/services/data/v66.0/sobjects/Contact", referenceId: "c", body: { LastName: "Kid", AccountId: "@{a.id}" } },
    { method: "GET", url: "/services/data/v66.0/sobjects/Contact/@{c.id}?fields=AccountId", referenceId: "g" },
  ],
});
seen.composite = composite.compositeResponse.map((one) => one.httpStatusCode);
seen.sameParent = composite.compositeResponse[2].body.AccountId === composite.compositeResponse[0].body.id;

const rows = Array.from({ length: 300 }, (_, n) => ({ LastName: `Bulk ${n}`, Company: n === 7 ? "" : "Bulk, Inc" }));
const loaded = await connection.bulk2.loadAndWaitForResults({ object: "Lead", operation: "insert", input: rows, pollInterval: 100 });
seen.loaded = [loaded.successfulResults.length, loaded.failedResults.length, loaded.unprocessedRecords.length];
seen.failure = loaded.failedResults[0].sf__Error;
connection.bulk2.pollInterval = 100;
const stream = await connection.bulk2.query("SELECT Id, LastName FROM Lead WHERE Company = 'Bulk, Inc'");
seen.queried = (await stream.toArray()).length;

// the older version of the Bulk API
connection.bulk.pollInterval = 100;
const old = await connection.bulk.load("Lead", "insert", [
  { LastName: "Old 1", Company: "Old, Inc" },
  { LastName: "Old 2", Company: "Old, Inc" },
  { LastName: "Old 3", Company: "" },
]);
seen.old = old.map((one) => one.success);
const oldRows = await connection.bulk.query("SELECT Id, LastName FROM Lead WHERE Company = 'Old, Inc'");
seen.oldQueried = (await oldRows.toArray()).length;

const tooling = await connection.tooling.query("SELECT Id, SelectedEntity FROM PlatformEventChannelMember");
seen.members = tooling.totalSize;
console.log(JSON.stringify(seen));
