"""What the model's answer says, and which of its citations hold.

No requests and no tools: this package reads text and files and gives citations.
"""
