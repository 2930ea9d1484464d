"""Real payloads of the event bus, as test vectors.

Captured from real orgs over the Pub/Sub API; the bytes are data of the repository Valeriyyy/SalesforceGRPC, under
the MIT licence (Copyright (c) 2023 Valeriy Kutsar). The table of fields gives the order and the types of the
Account schema the two address events were written with.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.unit.avro.salesforce_shapes import event_schema

ACCOUNT_FIELDS = """
    Name:Switchable_PersonName Type:DynamicEnum RecordTypeId:EntityId ParentId:EntityId
    BillingAddress:Address ShippingAddress:Address Phone:Phone Fax:Phone AccountNumber:Text Website:Url
    Sic:Text Industry:DynamicEnum AnnualRevenue:Currency NumberOfEmployees:Integer Ownership:DynamicEnum
    TickerSymbol:Text Description:StringPlusClob Rating:DynamicEnum Site:Text OwnerId:EntityId
    CreatedDate:DateTime CreatedById:EntityId LastModifiedDate:DateTime LastModifiedById:EntityId
    PersonContactId:EntityId PersonMailingAddress:Address PersonOtherAddress:Address
    PersonMobilePhone:Phone PersonHomePhone:Phone PersonOtherPhone:Phone PersonAssistantPhone:Phone
    PersonEmail:Email PersonTitle:Text PersonDepartment:Text PersonAssistantName:Text
    PersonLeadSource:DynamicEnum PersonBirthdate:DateOnly PersonHasOptedOutOfEmail:Boolean
    PersonHasOptedOutOfFax:Boolean PersonDoNotCall:Boolean PersonLastCURequestDate:DateTime
    PersonLastCUUpdateDate:DateTime PersonEmailBouncedReason:Text PersonEmailBouncedDate:DateTime
    PersonIndividualId:EntityId PersonPronouns:DynamicEnum PersonGenderIdentity:DynamicEnum Jigsaw:Text
    JigsawCompanyId:ExternalId CleanStatus:StaticEnum AccountSource:DynamicEnum DunsNumber:Text
    Tradestyle:Text NaicsCode:Text NaicsDesc:Text YearStarted:Text SicDesc:Text DandbCompanyId:EntityId
    OperatingHoursId:EntityId CustomerPriority__c:DynamicEnum SLA__c:DynamicEnum Active__c:DynamicEnum
    NumberofLocations__c:Double SLASerialNumber__c:Text SLAExpirationDate__c:DateOnly
    Some_phone__c:Phone Amount_Owed__c:Currency Some_Date_Time__c:DateTime Some_Date__c:DateOnly
    Some_Email__c:Email Some_Geolocation__c:Location Some_Number__c:Double Some_Percent__c:Percent
    Some_Picklist__c:DynamicEnum Some_Multipicklist__c:MultiEnum Some_Text__c:Text
    Some_Rich_Text_Area__c:HtmlStringPlusClob Some_Time__c:TimeOnly Some_URL__c:Url GUID__c:Text
    Some_Check_Box__c:Boolean Some_Other_Text__c:Text Another_One__c:Boolean Level__pc:DynamicEnum
    Languages__pc:Text
"""


def account_schema() -> dict[str, Any]:
    """The schema of the two address events: Account with person accounts, 86 fields with the header."""
    pairs = (entry.split(":") for entry in ACCOUNT_FIELDS.split())
    return event_schema("Account", [(name, doc) for name, doc in pairs])


def account_schema_json() -> str:
    return json.dumps(account_schema())


def _bytes(text: str) -> bytes:
    return base64.b64decode("".join(text.split()))


ADDRESS_EDIT = _bytes("""
    DkFjY291bnQCJDAwMURwMDAwMDBKSmtrSElBVAACaGNvbS9zYWxlc2ZvcmNlL2FwaS9zb2FwLzY2LjA7Y2xpZW50PVNmZGNJbnRl
    cm5hbEFQSS9IMDAwMDNhZGItNjk0Mi00NDdlLTYwMzMtOWU4ZmU3NDEyMzBmAvD+oZyNZ8iYncHiygUkMDA1RHAwMDAwMDBQcGpz
    SUFDAAAEEDB4ODAwMDAwDDYtMHgwMQAAAAAAAAICIjEwMSBDYWxpZm9ybmlhIFN0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAALw
    /qGcjWcAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==
""")
"""An UPDATE of ShippingAddress.Street and LastModifiedDate, from the browser."""

GEOCODED = _bytes("""
    DkFjY291bnQCJDAwMURwMDAwMDBKSmtrSElBVAACAEgwMDAwMzkyOS1mMTZmLTVkMGQtYTg0Mi1mODk1N2M2NWE5MDECwI6inI1n
    3qedweLKBSQwMDVEcDAwMDAwMzQwYkZJQVEAAAIQNi0weDAxODAAAAAAAAACAAAAAAAAAAInhA66hOVCQALzqs5qgZlewAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
""")
"""The UPDATE that followed: ShippingAddress.Latitude and .Longitude, no origin, no entry of the top level."""

WIDE_BITMAP = _bytes("""
    DkFjY291bnQCJDAwMURwMDAwMDBKSmtrSElBVAACaGNvbS9zYWxlc2ZvcmNlL2FwaS9zb2FwLzY2LjA7Y2xpZW50PVNmZGNJbnRl
    cm5hbEFQSS9IMDAwMzRjNzQtMDUwMC1hYTc3LWZjMzUtMjY1OTE3NDcwZTk5AsCRvJONZ7qG4P7hygUkMDA1RHAwMDAwMDBQcGpz
    SUFDAAACKDB4MTAwMDAwMDAwMDAwODAwMDAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACwJG8k41nAAAAAAAAAAAAAAAAAAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACAAAAAABCqUAAAAAAAAAAAAAAAAAAAAAAAA==
""")
"""An UPDATE of fields 23 and 68. The header can be read; the schema was never published."""

MERGED = _bytes("""
    DkFjY291bnQoJDAwMTJGMDAwMDBpYzRUWlFBWSQwMDEyRjAwMDAwaWM0VGFRQUkkMDAxMkYwMDAwMGljNFRiUUFJJDAwMTJGMDAw
    MDBpYzRUY1FBSSQwMDEyRjAwMDAwaWM0VGRRQUkkMDAxMkYwMDAwMGljNFRlUUFJJDAwMTJGMDAwMDBpYzVvVFFBUSQwMDEyRjAw
    MDAwaWM1b1VRQVEkMDAxMkYwMDAwMGljNW9WUUFRJDAwMTJGMDAwMDBpYzVvV1FBUSQwMDEyRjAwMDAwaWM1b1hRQVEkMDAxMkYw
    MDAwMGljNW9ZUUFRJDAwMTJGMDAwMDBpYzVvWlFBUSQwMDEyRjAwMDAwaWM1b2FRQUEkMDAxMkYwMDAwMGljNW9iUUFBJDAwMTJG
    MDAwMDBpYzVvY1FBQSQwMDEyRjAwMDAwaWM1b2RRQUEkMDAxMkYwMDAwMGljNW9lUUFBJDAwMTJGMDAwMDBpYzVvZlFBQSQwMDEy
    RjAwMDAwaWM1b2dRQUEAAlxjb20vc2FsZXNmb3JjZS9hcGkvc29hcC81Ni4wO2NsaWVudD1kZXZjb25zb2xlSDAwMDE3YTQ4LWEz
    MDAtZDM4NS0xNzg2LTZiNDVjZmYzOTRiNgKAg/SclGHqhbGjl4QFJDAwNTFVMDAwMDA3Snk0VVFBUwAAAhAweDgwMDAwMAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAoCD9JyUYQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
""")
"""An UPDATE of 20 records at once. The header can be read; the schema was never published."""
