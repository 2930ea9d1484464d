// What a deployment tool does with jsforce, as its documentation shows: list, describe, retrieve, validate, deploy.
// Arguments: jsforce's main file, instance URL, access token, a zip to deploy, a bad zip, where the retrieved zip goes.

import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [library, url, token, good, bad, out] = process.argv.slice(2);
const jsforce = createRequire(import.meta.url)(library);
const connection = new jsforce.Connection({ instanceUrl: url, accessToken: token, version: "66.0" });
const metadata = connection.metadata;
metadata.pollInterval = 100;
metadata.pollTimeout = 60000;
const seen = {};

const described = await metadata.describe("66.0");
seen.types = described.metadataObjects.map((one) => one.xmlName);
const listed = await metadata.list([{ type: "Flow" }, { type: "ApexTrigger" }], "66.0");
seen.listed = listed.map((one) => [one.type, one.fullName, one.fileName]);
const read = await metadata.read("Flow", "Rating_Sync");
seen.read = [read.fullName, read.status, read.start.object];

const retrieved = await metadata
  .retrieve({ apiVersion: "66.0", unpackaged: { types: [{ name: "Flow", members: ["*"] }, { name: "ApexTrigger", members: ["*"] }], version: "66.0" } })
  .complete();
seen.retrieved = [retrieved.status, retrieved.fileProperties.map((one) => one.fileName).sort()];
writeFileSync(out, Buffer.from(retrieved.zipFile, "base64"));

const errors = await metadata.deploy(readFileSync(bad), { singlePackage: true, rollbackOnError: true }).complete(true);
const failures = [errors.details.componentFailures].flat();
seen.refused = [errors.success, errors.status, failures.map((one) => [one.fullName, one.problem])];

const checked = await metadata.deploy(readFileSync(good), { singlePackage: true, checkOnly: true, rollbackOnError: true }).complete(true);
seen.checked = [checked.success, checked.checkOnly, checked.numberComponentsTotal];
const deployed = await metadata.deploy(readFileSync(good), { singlePackage: true, rollbackOnError: true }).complete(true);
const successes = [deployed.details.componentSuccesses].flat();
seen.deployed = [deployed.success, deployed.status, successes.map((one) => [one.componentType, one.fullName, one.changed])];
const over = await metadata.deployRest(readFileSync(good), { singlePackage: true, rollbackOnError: true }).complete(true);
seen.rest = [over.success, over.status];
const requests = await connection.tooling.query("SELECT Id, Status, CheckOnly FROM DeployRequest ORDER BY Id");
seen.requests = requests.records.map((one) => [one.Status, one.CheckOnly]);

console.log(JSON.stringify(seen));
