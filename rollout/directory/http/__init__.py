"""HTTP for real directories: requests, pages, quotas, retries, credentials."""
