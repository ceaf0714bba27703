"""Who is asking, and may they? Cookies, forms and roles for pages; bearer tokens for the API."""
