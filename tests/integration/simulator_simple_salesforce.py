"""What a Python program does with simple-salesforce, as its documentation shows: run with its own interpreter.

Arguments: instance URL, access token. Prints one JSON object. Knows nothing of the simulator.
"""

import json
import sys
import tempfile

from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

WAIT_S = 0.1  # between two questions about a job; its own default is five seconds


def main(url: str, token: str) -> None:
    sf = Salesforce(instance_url=url, session_id=token)
    seen = {}

    # rows
    made = sf.Contact.create(
        {"LastName": "Lind", "Email": "lind@example.com"}, headers={"Sforce-Call-Options": "client=LoaderPy"}
    )
    contact = made["id"]
    sf.Contact.update(contact, {"Phone": "1", "MailingCity": "Bonn"})
    row = sf.Contact.get(contact)
    seen["row"] = {key: row[key] for key in ("Name", "Phone", "MailingCity")}
    seen["upserts"] = [
        sf.Account.upsert("Erp_Number__c/PY-1", {"Name": "Nova"}),
        sf.Account.upsert("Erp_Number__c/PY-1", {"Name": "Nova Ltd"}),
    ]
    account = sf.Account.get_by_custom_id("Erp_Number__c", "PY-1")
    seen["account"] = account["Name"]
    sf.Contact.update(contact, {"AccountId": account["Id"]})
    seen["contact"] = contact
    seen["searched"] = [
        one["Id"] for one in sf.search("FIND {lind} RETURNING Contact(Id, Name)")["searchRecords"]
    ]
    sf.Account.delete(account["Id"])
    try:
        sf.Account.get(account["Id"])
    except SalesforceResourceNotFound as error:
        seen["gone"] = error.content[0]["errorCode"]
    try:
        sf.Account.create({"Nope__c": 1})
    except SalesforceMalformedRequest as error:
        seen["refused"] = error.content[0]["errorCode"]

    # descriptions and limits
    seen["entities"] = sorted(one["name"] for one in sf.describe()["sobjects"])
    seen["labels"] = [one["label"] for one in sf.Lead.describe()["fields"][:2]]
    seen["calls"] = sf.limits()["DailyApiRequests"]["Max"]
    seen["usage"] = bool(sf.api_usage)

    # queries
    everything = sf.query_all("SELECT Id, Name, Account.Name FROM Opportunity ORDER BY Id")
    seen["opportunities"] = [one["Id"] for one in everything["records"]]
    seen["iterated"] = sum(1 for _ in sf.query_all_iter("SELECT Id FROM Opportunity"))
    seen["deleted"] = sf.query("SELECT Id FROM Account WHERE IsDeleted = true", include_deleted=True)[
        "totalSize"
    ]
    groups = sf.query(
        "SELECT StageName, COUNT(Id) n FROM Opportunity GROUP BY StageName ORDER BY COUNT(Id) DESC"
    )
    seen["grouped"] = sum(one["n"] for one in groups["records"])

    # bulk 2.0
    leads = [{"LastName": f"Bulk {n}", "Company": "Bulk, Inc"} for n in range(450)]
    seen["inserted"] = sf.bulk2.Lead.insert(records=leads, batch_size=200, wait=WAIT_S)
    texts = list(
        sf.bulk2.Lead.query(
            "SELECT Id, LastName FROM Lead WHERE Company = 'Bulk, Inc'", max_records=200, wait=WAIT_S
        )
    )
    lines = [line for text in texts for line in text.splitlines()[1:]]
    seen["bulk_rows"] = len(lines)
    ids = [line.split(",")[0].strip('"') for line in lines]
    updates = [{"Id": one, "Title": "Chief"} for one in ids] + [
        {"Id": "00Q000000000001AAA", "Title": "Nobody"}
    ]
    done = sf.bulk2.Lead.update(records=updates, wait=WAIT_S)
    seen["updated"] = done
    seen["failed"] = sf.bulk2.Lead.get_failed_records(done[0]["job_id"]).splitlines()[1:]
    with tempfile.TemporaryDirectory() as folder:
        files = sf.bulk2.Lead.download(
            "SELECT Id FROM Lead WHERE Company = 'Bulk, Inc'", path=folder, wait=WAIT_S
        )
        seen["downloaded"] = sum(one["number_of_records"] for one in files)
    seen["erased"] = sf.bulk2.Lead.delete(records=[{"Id": one} for one in ids[:200]], wait=WAIT_S)
    seen["hard"] = sf.bulk2.Lead.hard_delete(records=[{"Id": one} for one in ids[200:]], wait=WAIT_S)
    seen["upserted"] = sf.bulk2.Account.upsert(
        records=[{"Erp_Number__c": f"B{n}", "Name": f"Bulk {n}"} for n in range(5)],
        external_id_field="Erp_Number__c",
        wait=WAIT_S,
    )

    # the older version of the Bulk API
    made = sf.bulk.Lead.insert([{"LastName": f"Old {n}", "Company": "Old, Inc"} for n in range(30)])
    seen["old_inserted"] = sum(one["success"] and one["created"] for one in made)
    refused = sf.bulk.Lead.update([{"Id": made[0]["id"], "Company": None}])
    seen["old_refused"] = refused[0]["errors"][0]["statusCode"]
    old = sf.bulk.Lead.query("SELECT Id, CreatedDate FROM Lead WHERE Company = 'Old, Inc'")
    seen["old_rows"] = sorted({type(one["CreatedDate"]).__name__ for one in old}), len(old)
    gone = sf.bulk.Lead.delete([{"Id": one["id"]} for one in made])
    seen["old_deleted"] = sum(one["success"] for one in gone)
    print(json.dumps(seen))


main(*sys.argv[1:])
