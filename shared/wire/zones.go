package wire

// The functions run where there is no time zone database: users and import jobs name zones all the same.
import _ "time/tzdata"
