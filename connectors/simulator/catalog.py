"""The entities of the simulated org: field definitions, in the order of the event schema. See fields.py."""

from __future__ import annotations

from typing import NamedTuple

AUDIT = """
CreatedDate DateTime derived
CreatedById EntityId derived ->User:CreatedBy
LastModifiedDate DateTime derived
LastModifiedById EntityId derived ->User:LastModifiedBy
"""

ACCOUNT = f"""
Name Switchable_PersonName required
Type DynamicEnum Prospect|Customer_-_Direct|Customer_-_Channel|Channel_Partner|Other
RecordTypeId EntityId ->RecordType:RecordType
ParentId EntityId ->Account:Parent
BillingAddress Address
ShippingAddress Address
Phone Phone
Fax Phone
AccountNumber Text
Website Url
Sic Text
Industry DynamicEnum Agriculture|Banking|Chemicals|Construction|Energy|Healthcare|Retail|Shipping|Technology|Utilities
AnnualRevenue Currency
NumberOfEmployees Integer
Ownership DynamicEnum Public|Private|Subsidiary|Other
TickerSymbol Text
Description StringPlusClob
Rating DynamicEnum Hot|Warm|Cold
Site Text
OwnerId EntityId ->User:Owner
{AUDIT}
PersonContactId EntityId derived ->Contact:PersonContact
PersonEmail Email
PersonBirthdate DateOnly #PII:Restricted
Jigsaw Text
JigsawCompanyId ExternalId derived
AccountSource DynamicEnum Web|Phone_Inquiry|Partner_Referral|Purchased_List|Other
SicDesc Text
Customer_Priority__c DynamicEnum High|Medium|Low
SLA__c DynamicEnum Gold|Silver|Platinum|Bronze
Active__c Boolean
Credit_Limit__c Currency
Segment__c DynamicEnum Enterprise|Mid-Market|Small_Business|Public_Sector
Renewal_Date__c DateOnly
Health_Score__c Percent
Products__c MultiEnum Core|Analytics|Mobile|Support|Training
Erp_Number__c Text external
Open_Days__c Double formula
LastActivityDate DateOnly silent
LastViewedDate DateTime silent
MasterRecordId EntityId silent ->Account:MasterRecord
"""

CONTACT = f"""
AccountId EntityId ->Account:Account
Name PersonName required
OtherAddress Address
MailingAddress Address #PII:Confidential
Phone Phone
Fax Phone
MobilePhone Phone #PII:Confidential
HomePhone Phone #PII,GDPR:Confidential
ReportsToId EntityId ->Contact:ReportsTo
Email Email #PII,GDPR:Confidential
Title Text
Department Text
LeadSource DynamicEnum Web|Phone_Inquiry|Partner_Referral|Purchased_List|Other
Birthdate DateOnly #PII:Restricted
Description StringPlusClob
OwnerId EntityId ->User:Owner
HasOptedOutOfEmail Boolean
HasOptedOutOfFax Boolean
DoNotCall Boolean
{AUDIT}
EmailBouncedReason Text derived
EmailBouncedDate DateTime derived
Level__c DynamicEnum Primary|Secondary|Tertiary
Languages__c MultiEnum English|German|French|Spanish|Japanese
Newsletter__c Boolean
LastActivityDate DateOnly silent
LastViewedDate DateTime silent
MasterRecordId EntityId silent ->Contact:MasterRecord
"""

LEAD = f"""
Name PersonName required
Title Text
Company Text required
Address Address
Phone Phone
MobilePhone Phone
Email Email
Website Url
Description StringPlusClob
LeadSource DynamicEnum Web|Phone_Inquiry|Partner_Referral|Purchased_List|Other
Status DynamicEnum Open_-_Not_Contacted|Working_-_Contacted|Closed_-_Converted|Closed_-_Not_Converted
Industry DynamicEnum Agriculture|Banking|Chemicals|Construction|Energy|Healthcare|Retail|Shipping|Technology|Utilities
Rating DynamicEnum Hot|Warm|Cold
AnnualRevenue Currency
NumberOfEmployees Integer
OwnerId EntityId ->User:Owner
HasOptedOutOfEmail Boolean
IsConverted Boolean derived
ConvertedDate DateOnly derived
ConvertedAccountId EntityId derived ->Account:ConvertedAccount
ConvertedContactId EntityId derived ->Contact:ConvertedContact
ConvertedOpportunityId EntityId derived ->Opportunity:ConvertedOpportunity
IsUnreadByOwner Boolean
{AUDIT}
Score__c Double
Campaign_Code__c Text
LastActivityDate DateOnly silent
MasterRecordId EntityId silent ->Lead:MasterRecord
"""

OPPORTUNITY = f"""
AccountId EntityId ->Account:Account
IsPrivate Boolean
Name Text required
Description StringPlusClob
StageName DynamicEnum Prospecting|Qualification|Needs_Analysis|Value_Proposition|Proposal/Price_Quote|Negotiation/Review|Closed_Won|Closed_Lost required
Amount Currency
Probability Percent
ExpectedRevenue Currency derived
TotalOpportunityQuantity Double
CloseDate DateOnly required
Type DynamicEnum Existing_Business|New_Business
NextStep Text
LeadSource DynamicEnum Web|Phone_Inquiry|Partner_Referral|Purchased_List|Other
IsClosed Boolean derived
IsWon Boolean derived
ForecastCategory DynamicEnum derived
ForecastCategoryName DynamicEnum Pipeline|Best_Case|Commit|Omitted|Closed
CampaignId EntityId ->Campaign:Campaign
HasOpportunityLineItem Boolean derived
Pricebook2Id EntityId ->Pricebook2:Pricebook2
OwnerId EntityId ->User:Owner
{AUDIT}
LastStageChangeDate DateTime derived
ContactId EntityId ->Contact:Contact
Margin__c Percent
Competitor__c Text
Delivery_Status__c DynamicEnum Yet_to_begin|In_progress|Completed
Contract_Signed__c Boolean
Weighted_Age__c Double formula
LastActivityDate DateOnly silent
"""

CASE = f"""
CaseNumber Text derived
ContactId EntityId ->Contact:Contact
AccountId EntityId ->Account:Account
SuppliedEmail Email
Type DynamicEnum Question|Problem|Feature_Request
Status DynamicEnum New|Working|Waiting_on_Customer|Escalated|Closed
Reason DynamicEnum Installation|Equipment|Performance|Breakdown|Feedback|Other
Origin DynamicEnum Phone|Email|Web
Subject Text
Priority DynamicEnum High|Medium|Low
Description StringPlusClob
IsClosed Boolean derived
ClosedDate DateTime derived
IsEscalated Boolean
OwnerId EntityId ->User:Owner
{AUDIT}
Comments StringPlusClob eventonly
Product__c DynamicEnum Core|Analytics|Mobile|Support|Training
First_Response__c TimeOnly
Sla_Violation__c Boolean
"""

USER = f"""
Username Text required
Name PersonName required
CompanyName Text
Division Text
Department Text
Title Text
Address Address
Email Email required
Phone Phone
MobilePhone Phone
Alias Text
IsActive Boolean
TimeZoneSidKey StaticEnum
UserRoleId EntityId ->UserRole:UserRole
LocaleSidKey StaticEnum
EmailEncodingKey StaticEnum
ProfileId EntityId ->Profile:Profile
UserType StaticEnum derived
LanguageLocaleKey StaticEnum
EmployeeNumber Text
ManagerId EntityId ->User:Manager
UserPermissions NameSet eventonly
{AUDIT}
FederationIdentifier Text
LastLoginDate DateTime silent
"""

SHIPMENT = f"""
OwnerId EntityId ->User:Owner
Name Text
{AUDIT}
Account__c EntityId ->Account:Account__r
Status__c DynamicEnum Planned|Picked|In_Transit|Delivered|Returned
Weight__c Double
Freight__c Currency
Discount__c Percent
Ship_Date__c DateOnly
Delivered_At__c DateTime
Cutoff__c TimeOnly
Depot__c Location
Destination__c Location
Carrier__c DynamicEnum Road|Rail|Sea|Air
Handling__c MultiEnum Fragile|Cold|Hazardous|Oversize
Tracking_Url__c Url
Notes__c HtmlStringPlusClob
Contact_Email__c Email
Contact_Phone__c Phone
Insured__c Boolean
Erp_Key__c Text external
"""


class EntityDefinition(NamedTuple):
    """Name, label and plural, key prefix, and the text of its fields. `cascades`: deleted with that parent."""

    name: str
    label: str
    plural: str
    key_prefix: str
    fields: str
    cascades: tuple[str, ...] = ()


DEFINITIONS = (
    EntityDefinition("Account", "Account", "Accounts", "001", ACCOUNT),
    EntityDefinition("Contact", "Contact", "Contacts", "003", CONTACT, ("AccountId",)),
    EntityDefinition("Lead", "Lead", "Leads", "00Q", LEAD),
    EntityDefinition("Opportunity", "Opportunity", "Opportunities", "006", OPPORTUNITY, ("AccountId",)),
    EntityDefinition("Case", "Case", "Cases", "500", CASE),
    EntityDefinition("User", "User", "Users", "005", USER),
    EntityDefinition("Shipment__c", "Shipment", "Shipments", "a0B", SHIPMENT),
)
